import type { CallOptions } from '../lifetime/call-options.ts'
import type { ContainerRecord } from './container-record.ts'
import { liveTask } from './live-task.ts'
import type { LocalHolder } from './local-holder.ts'
import type { ContainerServices } from './services.ts'
import { requireRunning, stateConflict } from './state-guards.ts'

/** Freezes every process of a running container, or lets them go on. */
export async function setPaused(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  paused: boolean,
  call?: CallOptions,
): Promise<void> {
  const what = paused ? 'pause' : 'unpause'
  requireRunning(record, what)
  if ((record.status === 'paused') === paused) return
  const task = await liveTask(services, holder, record, call)
  if (paused) await task?.pause(call)
  else await task?.resume(call)
  const moved = services.records.move(
    record,
    [paused ? 'running' : 'paused'],
    paused ? 'paused' : 'running',
    {},
    { action: what },
  )
  if (!moved) throw stateConflict(services.records.require(record.id), what)
}
