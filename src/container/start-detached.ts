import { containerErrors } from '../errors/container-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { ContainerRecord } from './container-record.ts'
import type { ContainerServices } from './services.ts'
import { isRunning } from './state-guards.ts'

/** For how long a start is asked for again when one monitor after the other is killed at it. */
const retryMs = 60_000
/** How long a monitor may take to settle what another one had begun. */
const settleMs = 20_000

/**
 * Has the monitor start a container. When it is killed at it, the next monitor takes over whatever runs already; else the
 * start is asked for again: the program is executed once.
 */
export async function startDetached(
  services: ContainerServices,
  record: ContainerRecord,
  call?: CallOptions,
): Promise<void> {
  const deadline = performance.now() + retryMs
  for (;;) {
    try {
      return await services.detached.start(record.id, call)
    } catch (error) {
      if (performance.now() > deadline || !isEngineError(error, { code: 'holder.lost' })) throw error
    }
    const now = await settledStart(services, record, call)
    if (!now || isRunning(now) || (now.startedAt?.getTime() ?? 0) > (record.startedAt?.getTime() ?? 0)) return
  }
}

/** Waits while a detached container is starting, whoever started it; null when it is gone. */
export async function settledStart(
  { records, detached }: ContainerServices,
  record: ContainerRecord,
  call?: CallOptions,
): Promise<ContainerRecord | null> {
  await detached.ensure(call)
  const deadline = performance.now() + settleMs
  for (;;) {
    const now = records.find(record.id)
    if (now?.status !== 'starting') return now
    throwIfAborted(call, `start of ${record.name}`)
    if (performance.now() > deadline)
      throw containerErrors.error('busy', {
        message: `${record.name} has been starting for ${settleMs / 1000} s. See run/monitor.log below the data root.`,
        subject: { type: 'container', id: record.id },
        retryable: true,
      })
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
