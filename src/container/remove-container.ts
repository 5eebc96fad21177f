import { rmSync } from 'node:fs'
import { containerErrors } from '../errors/container-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { ContainerRecord } from './container-record.ts'
import { durabilityOf } from './container-records.ts'
import { dismissKeeper } from './keeper.ts'
import { liveTask } from './live-task.ts'
import type { LocalHolder } from './local-holder.ts'
import type { ContainerServices } from './services.ts'
import { settledStart } from './start-detached.ts'
import { isRunning, stateConflict } from './state-guards.ts'
import { waitForContainer } from './wait-container.ts'

/** Removes the container and all it has; with `force` a running one is killed first. Idempotent. */
export async function removeContainer(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  options: { readonly force: boolean },
  call?: CallOptions,
): Promise<void> {
  let current = services.records.find(record.id)
  if (!current) return
  // Its monitor may have been killed at the start.
  if (current.status === 'starting' && options.force && current.lifetime === 'detached')
    current = await settledStart(services, current, call)
  if (!current) return
  if (isRunning(current)) {
    if (!options.force)
      throw containerErrors.error('running', {
        message: `${current.name} is ${current.status} and cannot be removed. Stop it first, or remove it with { force: true }.`,
        subject: { type: 'container', id: current.id },
        details: { status: current.status },
      })
    const task = await liveTask(services, holder, current, call)
    await task?.killAll(call)
    await waitForContainer(services, holder, current, 'not-running', call)
  }
  const moved = services.records.move(current, ['created', 'exited', 'creating'], 'removing', {
    holder: services.owner.id,
  })
  if (!moved) {
    current = services.records.find(record.id)
    if (!current) return
    if (current.status === 'removing') {
      await waitForContainer(services, holder, current, 'removed', call)
      return
    }
    throw stateConflict(current, 'remove')
  }
  await discardContainer(services, moved, true)
}

/** The steps of a removal after it was recorded; each can be repeated, so an interrupted removal is finished by another. */
export async function discardContainer(
  services: ContainerServices,
  record: ContainerRecord,
  announce: boolean,
): Promise<void> {
  const durable = durabilityOf(record.lifetime) === 'durable'
  await services.turns.next()
  await services.networks.detach(record.id, durable)
  await services.roots.remove(record.id, durable)
  dismissKeeper(services.paths.container(record.id))
  rmSync(services.paths.container(record.id), { recursive: true, force: true })
  services.records.delete(record, announce)
  await services.imageReleased(record.spec.image.id)
}
