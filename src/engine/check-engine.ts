import { type ContainerProblem, checkContainers } from '../container/check-containers.ts'
import { ContainerCopies } from '../container/container-copies.ts'
import type { BlobProblem } from '../content/check-content.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { checkImages, type ImageProblem, incompleteImages } from '../image/check-images.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { StorageProblem } from '../snapshot/snapshot-service.ts'
import { describeDamage } from '../state/diagnose-records.ts'
import { coreTokens } from './core-tokens.ts'
import type { Parts } from './parts.ts'

/** One thing about which the records and the disk disagree. */
export interface ConsistencyProblem {
  readonly kind:
    | BlobProblem['kind']
    | ImageProblem['kind']
    | ContainerProblem['kind']
    | StorageProblem['kind']
    | 'damaged_records'
    | 'missing_container_root'
  /** Of what it is about: a digest, a chain id, a container id, a path. */
  readonly id: string
  /** What is wrong; where it cannot be repaired, what to do. */
  readonly message: string
  readonly repaired: boolean
}

/** What a check found. */
export interface ConsistencyReport {
  /** Empty when all is well. */
  readonly problems: readonly ConsistencyProblem[]
  /** Where `Engine.repair` put the damaged state.db; null when the records could be read. */
  readonly setAside: string | null
}

/** What a check does besides looking. */
export interface CheckOptions {
  /** Mends what can be mended. Default false: nothing is changed. */
  readonly repair?: boolean | undefined
  /** Reads every blob and compares it with its digest. Default false: only sizes are compared. */
  readonly contents?: boolean | undefined
}

/**
 * Compares records, content store, storage driver and container directories. In this order, because each says what of
 * the next is needed.
 */
export async function checkEngine(
  parts: Parts,
  { repair, contents }: CheckOptions,
  call?: CallOptions,
): Promise<readonly ConsistencyProblem[]> {
  const t = coreTokens
  const { db, paths } = parts.get(t.state)
  const damage = describeDamage(db)
  if (damage.length > 0) return [damagedRecords(paths.database, paths.root, damage)]
  const options = { repair, contents, signal: call?.signal }
  const store = { db, content: parts.get(t.content), images: parts.get(t.images) }
  const [storage, services] = await Promise.all([parts.get(t.storage), parts.get(t.containerServices)])
  const found: ConsistencyProblem[] = [...(await checkImages(store, options))]
  const containers = await checkContainers(services, new ContainerCopies(paths), options)
  found.push(...containers.problems, ...(await store.content.check(options)))
  const needed = {
    chains: new Set<string>(store.images.list().flatMap((image) => image.chain)),
    containers: new Set<string>(services.records.all().map(({ id }) => id)),
    spared: new Set(containers.unreadable),
  }
  found.push(...(await storage.check({ ...options, needed })))
  found.push(...incompleteImages(store))
  return [...found, ...(await rootlessContainers(parts, call))]
}

/** Hands detached containers that run and have no holder, because they were just recorded again, to the monitor. */
export async function adoptRecorded(parts: Parts, call?: CallOptions): Promise<void> {
  const { records, detached } = await parts.get(coreTokens.containerServices)
  for (const { id, lifetime, holder, status } of records.all())
    if (lifetime === 'detached' && holder === null && ['starting', 'running', 'paused'].includes(status))
      await detached.start(id, call)
}

const damagedRecords = (file: string, root: string, damage: readonly string[]): ConsistencyProblem => ({
  kind: 'damaged_records',
  id: file,
  message: `${file} is damaged (${damage[0]}). Close all engines and run \`tscontainer check --repair --root ${root}\`.`,
  repaired: false,
})

async function rootlessContainers(parts: Parts, call?: CallOptions): Promise<ConsistencyProblem[]> {
  const { records, roots } = await parts.get(coreTokens.containerServices)
  const problems: ConsistencyProblem[] = []
  for (const { id, name, status } of records.all()) {
    if (status === 'creating' || status === 'removing') continue
    try {
      await roots.mounts(id, call)
    } catch (error) {
      if (!isEngineError(error, { kind: 'not_found' })) throw error
      // Removed meanwhile.
      if (!records.find(id)) continue
      problems.push({
        kind: 'missing_container_root',
        id,
        message: `The files of container ${name} are gone. Remove it.`,
        repaired: false,
      })
    }
  }
  return problems
}
