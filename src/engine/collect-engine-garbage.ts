import { sweepDeadOwners } from '../container/sweep.ts'
import { removeEmptyLeaves } from '../host/leave-cgroup.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { coreTokens } from './core-tokens.ts'
import { freeLeftOver } from './free-removed.ts'
import type { Parts } from './parts.ts'
import { removeAbandonedImages } from './remove-abandoned-images.ts'
import { settleCopies } from './settle-copies.ts'
import { sweepAbandoned, sweepCgroups } from './sweep-cgroups.ts'
import { sweepScratch } from './sweep-scratch.ts'

/** What a collection took away. */
export interface EngineGarbageReport {
  /** Ids of containers that dead processes had left. */
  readonly containers: readonly string[]
  /** Chain ids of unpacked layers. */
  readonly snapshots: readonly string[]
  readonly blobs: readonly Digest[]
  /** Bytes of blobs. */
  readonly freedBytes: number
}

/** Safe beside other processes that load images and run containers. */
export async function collectEngineGarbage(parts: Parts, call?: CallOptions): Promise<EngineGarbageReport> {
  const t = coreTokens
  const [storage, containers] = await Promise.all([parts.get(t.storage), parts.get(t.containers)])
  const owners = parts.get(t.owners)
  const swept = await sweepDeadOwners(containers.services, containers.holder, owners)
  await storage.sweep(
    swept.owners.map(({ id }) => id),
    call,
  )
  await settleCopies(parts, swept.owners)
  for (const owner of swept.owners) {
    await sweepCgroups(parts.get(t.host).cgroups, owner.id)
    sweepScratch(parts.get(t.state).paths, owner.id)
    owners.forget(owner.id)
  }
  await sweepAbandoned(parts.get(t.host).cgroups, call)
  removeEmptyLeaves()
  const networks = parts.get(t.networks)
  await networks.reconcile(call)
  await networks.collectOrphans()
  await removeAbandonedImages(parts)
  await freeLeftOver(parts)
  const kept = new Set(
    parts
      .get(t.images)
      .list()
      .flatMap((image) => image.chain),
  )
  const snapshots = await storage.removeUnused(kept, call)
  const { removed, freedBytes } = await parts.get(t.content).collectGarbage(call)
  parts.get(t.images).sizes.forgetUnneeded()
  return { containers: swept.containers, snapshots, blobs: removed, freedBytes }
}
