import type { ChangeHint } from '../driver-kit/storage-driver.ts'
import { containerErrors } from '../errors/container-errors.ts'
import type { TreeChange } from '../layer/change-list.ts'
import { listChanges, type TreePair } from '../layer/pack-changes.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { TreeServices } from '../transfer/tree-services.ts'
import { readBundleSpec } from './bundle-spec.ts'
import type { ContainerRecord } from './container-record.ts'
import type { ContainerServices } from './services.ts'
import { isRunning, stateConflict } from './state-guards.ts'

/** Where what a container has changed can be read. */
export interface ContainerChanges extends AsyncDisposable {
  readonly changes: ChangeHint | TreePair
  /** What was made there to mount upon is no change of the container's. */
  readonly mountPoints: readonly string[]
}

/** Files and directories that an engine makes in a container's root for its own mounts, whatever its spec says. */
const ownMountPoints = ['/dev/console', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf']

/** @throws `container.busy`, `container.unsupported_option` when the storage driver can only compare stopped trees */
export async function openChanges(
  services: ContainerServices,
  { storage, owner }: TreeServices,
  record: ContainerRecord,
  what: string,
  call?: CallOptions,
): Promise<ContainerChanges> {
  if (record.status === 'creating' || record.status === 'removing') throw stateConflict(record, what)
  const mounts = readBundleSpec(services.paths.container(record.id))?.mounts ?? []
  const mountPoints = [...new Set([...ownMountPoints, ...mounts.map(({ destination }) => destination)])]
  const hint = await storage.changes(record.id, call)
  if (hint) return { changes: hint, mountPoints, [Symbol.asyncDispose]: async () => {} }
  if (isRunning(record) || record.status === 'starting')
    throw containerErrors.error('unsupported_option', {
      message: `${what} of a running container needs a storage driver that says what changed, and ${storage.driver} does not. Stop ${record.name} first.`,
      subject: { type: 'container', id: record.id },
      details: { driver: storage.driver },
    })
  const newer = await storage.draftMounts(record.id, call)
  const { chain } = record.spec.image
  const older = chain === null ? null : await storage.view(chain, { owner, ...call })
  return {
    changes: { format: 'mounts', newer, older: older?.mounts ?? null },
    mountPoints,
    [Symbol.asyncDispose]: async () => older?.[Symbol.asyncDispose](),
  }
}

/** What a container has added, modified and deleted of its image's tree, in the order of the paths. */
export async function listContainerChanges(
  services: ContainerServices,
  trees: TreeServices,
  record: ContainerRecord,
  call?: CallOptions,
): Promise<readonly TreeChange[]> {
  await using opened = await openChanges(services, trees, record, 'diff', call)
  const { scratch, threads } = trees
  return listChanges(opened.changes, {
    ...call,
    scratch,
    mountPoints: opened.mountPoints,
    run: (job, options) => threads.run(job, options),
  })
}
