import type { SnapshotInfo, StorageDriver } from '../driver-kit/storage-driver.ts'
import { isEngineError } from '../errors/engine-error.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { toDraft, toSnapshot } from './chain-maker.ts'
import { childrenFirst, type SnapshotCollector } from './snapshot-collector.ts'
import type { SnapshotRecords } from './snapshot-records.ts'
import type { StorageProblem } from './snapshot-service.ts'

/** A draft's row precedes its tree; only one this old (milliseconds) and without a tree is wrong. */
const settled = 60_000

type Found = Omit<StorageProblem, 'repaired'> & { readonly repair: () => Promise<unknown> }

/** Compares the records with what the driver holds. */
export async function checkStorage(
  parts: { driver: StorageDriver; records: SnapshotRecords; collector: SnapshotCollector },
  options: CallOptions & { readonly repair?: boolean | undefined },
): Promise<readonly StorageProblem[]> {
  // The driver's trees are read first: a tree that has no row by then never had one, or is just being removed.
  const trees = new Map<string, SnapshotInfo>()
  for await (const info of parts.driver.list(options)) trees.set(info.id, info)
  const found = [...missing(parts, trees), ...(await unknown(parts, trees))]
  const problems: StorageProblem[] = []
  for (const { repair, ...problem } of found) {
    if (options.repair) await repair()
    problems.push({ ...problem, repaired: options.repair === true })
  }
  return problems
}

type Parts = Parameters<typeof checkStorage>[0]

function missing({ driver, records }: Parts, trees: ReadonlyMap<string, SnapshotInfo>): Found[] {
  const found: Found[] = []
  for (const row of childrenFirst(records.snapshots())) {
    const tree = trees.get(row.id)
    if (tree?.kind !== 'snapshot')
      found.push({
        kind: 'missing_snapshot',
        id: row.id,
        message: `Layer ${row.id} is recorded, but the storage driver does not have it. Load its image again.`,
        repair: async () => records.deleteSnapshot(row.id),
      })
    else if (tree.parent !== null && trees.get(tree.parent)?.kind !== 'snapshot')
      found.push({
        kind: 'wrong_parent',
        id: row.id,
        message: `Layer ${row.id} stands upon ${tree.parent}, which the storage driver does not have. Load its image again.`,
        repair: async () => {
          records.deleteSnapshot(row.id)
          await ignoringConflict(driver.remove(toSnapshot(row.id)))
        },
      })
    else if (tree.parent !== row.parent)
      found.push({
        kind: 'wrong_parent',
        id: row.id,
        message: `Layer ${row.id} is recorded upon ${row.parent ?? 'nothing'}, but stands upon ${tree.parent ?? 'nothing'}.`,
        repair: async () => records.setParent(row.id, tree.parent),
      })
  }
  for (const row of records.drafts())
    if (!trees.has(row.id) && Date.now() - row.created_at > settled)
      found.push({
        kind: 'missing_draft',
        id: row.id,
        message: `The ${row.kind} ${row.id} is recorded, but the storage driver does not have its tree. Remove it.`,
        repair: async () => records.deleteDraft(row.id, 'durable'),
      })
  return found
}

async function unknown({ driver, records, collector }: Parts, trees: ReadonlyMap<string, SnapshotInfo>) {
  const found: Found[] = []
  const drafts = new Set(records.drafts().map(({ id }) => id))
  for (const { id, kind } of trees.values()) {
    if (kind === 'snapshot' ? records.hasSnapshot(id) : drafts.has(id)) continue
    if (!(await exists(driver, id))) continue
    found.push({
      kind: kind === 'snapshot' ? 'unknown_snapshot' : 'unknown_draft',
      id,
      message: `The storage driver has a ${kind} ${id} that nothing needs. It only takes up space.`,
      repair: () => (kind === 'snapshot' ? collector.removeUnrecorded() : driver.remove(toDraft(id))),
    })
  }
  // Drafts first: they may stand upon the snapshots.
  return found.sort((a, b) => (a.kind < b.kind ? -1 : 1))
}

async function exists(driver: StorageDriver, id: string): Promise<boolean> {
  try {
    await driver.stat(toDraft(id))
    return true
  } catch (error) {
    if (isEngineError(error, { kind: 'not_found' })) return false
    throw error
  }
}

async function ignoringConflict(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isEngineError(error, { kind: 'conflict' })) throw error
  }
}
