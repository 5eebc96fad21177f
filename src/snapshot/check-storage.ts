import type { SnapshotInfo, StorageDriver } from '../driver-kit/storage-driver.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { toDraft, toSnapshot } from './chain-maker.ts'
import { childrenFirst, type SnapshotCollector } from './snapshot-collector.ts'
import type { SnapshotRecords } from './snapshot-records.ts'
import type { CheckStorageOptions, NeededTrees, StorageProblem } from './snapshot-service.ts'

/** A draft's row precedes its tree; only one this old (milliseconds) and without a tree is wrong. */
const settled = 60_000

type Found = Omit<StorageProblem, 'repaired'> & { readonly repair: () => Promise<unknown> }

/** Compares the records with what the driver holds. */
export async function checkStorage(
  parts: { driver: StorageDriver; records: SnapshotRecords; collector: SnapshotCollector },
  options: CheckStorageOptions,
): Promise<readonly StorageProblem[]> {
  // The driver's trees are read first: a tree that has no row by then never had one, or is just being removed.
  const trees = new Map<string, SnapshotInfo>()
  for await (const info of parts.driver.list(options)) trees.set(info.id, info)
  const found = [...missing(parts, trees), ...(await unknown(parts, trees, options.needed ?? nothing))]
  const problems: StorageProblem[] = []
  for (const { repair, ...problem } of found) {
    problems.push({ ...problem, repaired: options.repair === true && (await repair()) !== false })
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

/** Everything among the trees that is needed, with all that it stands upon. */
function wanted(
  trees: ReadonlyMap<string, SnapshotInfo>,
  { chains, containers, spared }: NeededTrees,
): ReadonlySet<string> {
  const found = new Set<string>()
  for (const start of [...chains, ...containers, ...spared])
    for (let at = trees.get(start); at && !found.has(at.id); at = at.parent === null ? undefined : trees.get(at.parent))
      found.add(at.id)
  return found
}

async function unknown(
  { driver, records, collector }: Parts,
  trees: ReadonlyMap<string, SnapshotInfo>,
  needed: NeededTrees,
): Promise<Found[]> {
  const kept = wanted(trees, needed)
  const drafts = new Set(records.drafts().map(({ id }) => id))
  const recorded = ({ id, kind }: SnapshotInfo) => (kind === 'snapshot' ? records.hasSnapshot(id) : drafts.has(id))
  const strangers: SnapshotInfo[] = []
  for (const tree of trees.values()) if (!recorded(tree) && (await exists(driver, tree.id))) strangers.push(tree)
  const lost = childrenFirst(strangers.filter(({ id }) => kept.has(id))).reverse()
  const useless = strangers.filter(({ id }) => !kept.has(id))
  return [
    // Parents first: a draft is recorded upon a recorded snapshot only.
    ...lost.map(({ id, kind, parent }) => ({
      ...kindOf(kind, id),
      message: `The storage driver has the ${kind} ${id}, which is needed and not recorded.`,
      repair: async () => {
        if (kind === 'snapshot') records.addSnapshot(id, parent, undefined, null)
        else if (needed.spared.has(id) || (parent !== null && !records.hasSnapshot(parent))) return false
        else records.addDraft({ id, kind: 'container', parent, owner: noOwner }, 'durable')
        return true
      },
    })),
    // Drafts first: they may stand upon the snapshots.
    ...[...useless.filter(({ kind }) => kind !== 'snapshot'), ...useless.filter(({ kind }) => kind === 'snapshot')].map(
      ({ id, kind }) => ({
        ...kindOf(kind, id),
        message: `The storage driver has a ${kind} ${id} that nothing needs. It only takes up space.`,
        repair: () => (kind === 'snapshot' ? collector.removeUnrecorded() : driver.remove(toDraft(id))),
      }),
    ),
  ]
}

const nothing: NeededTrees = { chains: new Set(), containers: new Set(), spared: new Set() }

/** Stands for an owner that nobody knows any more: the container's record says what becomes of its tree. */
const noOwner = 'none'

const kindOf = (kind: SnapshotInfo['kind'], id: string) => ({
  kind: kind === 'snapshot' ? ('unknown_snapshot' as const) : ('unknown_draft' as const),
  id,
})

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
