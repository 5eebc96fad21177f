import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import type { ContainerId } from '../driver-kit/ids.ts'
import { imageErrors } from '../errors/image-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { throwIfAborted } from '../lifetime/call-options.ts'
import { withRollback } from '../lifetime/scope.ts'
import type { ContainerRecord } from './container-record.ts'
import { durabilityOf } from './container-records.ts'
import type { ContainerSpec } from './container-spec.ts'
import { resolveSpec } from './resolve-spec.ts'
import type { ContainerServices } from './services.ts'
import type { StoredSpec } from './stored-spec.ts'

export interface CreatedContainer {
  readonly record: ContainerRecord
  readonly onLog: ContainerSpec['onLog']
}

/** Claims id and name, and makes the container's root and directory. Nothing is left when it fails. */
export async function createContainer(
  services: ContainerServices,
  spec: ContainerSpec,
  call?: CallOptions,
): Promise<CreatedContainer> {
  // Most are started at once.
  using _quick = services.quickMoves()
  await services.turns.next()
  const { name, lifetime, onLog, stored } = await resolveSpec(services, spec, call)
  throwIfAborted(call, 'create')
  const id = randomBytes(32).toString('hex') as ContainerId
  const durable = durabilityOf(lifetime) === 'durable'
  return withRollback(async (rollback) => {
    const claimed = services.db.transaction(() => {
      // From here on nobody removes it without asking who uses it.
      if (!services.db.get('SELECT 1 FROM images WHERE id = ?', stored.image.id)) throw imageGone(stored.image)
      return services.records.insert(id, name, lifetime, services.owner.id, {
        ...stored,
        hostname: stored.hostname ?? id.slice(0, 12),
      })
    }, durabilityOf(lifetime))
    rollback.defer(() => services.records.delete(claimed, false))
    const directory = services.paths.container(id)
    mkdirSync(directory, { mode: 0o700 })
    rollback.defer(() => rmSync(directory, { recursive: true, force: true }))
    rollback.defer(() => services.roots.remove(id, durable))
    await services.roots.create(id, stored.image.chain, { ...call, durable, quotaBytes: stored.storageBytes })
    throwIfAborted(call, 'create')
    const record = services.records.move(claimed, ['creating'], 'created', {}, { action: 'create' })
    if (!record) throw new Error(`container ${id} vanished while it was created`)
    return { record, onLog }
  })
}

const imageGone = ({ id, name }: StoredSpec['image']) =>
  imageErrors.error('not_found', {
    message: `The image "${name}" has been removed while a container was made from it. Load or pull it again.`,
    subject: { type: 'image', id },
  })
