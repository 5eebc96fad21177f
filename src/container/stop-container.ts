import { containerErrors } from '../errors/container-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { ContainerRecord, ExitStatus } from './container-record.ts'
import { liveTask } from './live-task.ts'
import type { LocalHolder } from './local-holder.ts'
import type { ContainerServices } from './services.ts'
import { isRunning, requireRunning } from './state-guards.ts'
import { waitForContainer } from './wait-container.ts'

/** How long the kernel may take to end a killed container before we report it as stuck. */
const killGraceMs = 10_000

/**
 * Sends the stop signal, then SIGKILL to every process after the grace. Returns within grace + 10 s, whatever the
 * container does; a container that does not run is no error.
 */
export async function stopContainer(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  options: { readonly signal: number; readonly graceMs: number },
  call?: CallOptions,
): Promise<ExitStatus | null> {
  if (!isRunning(record)) return record.exit
  const task = await liveTask(services, holder, record, call)
  const ended = new AbortController()
  const end = waitForContainer(services, holder, record, 'not-running', { signal: ended.signal })
  end.catch(() => {})
  try {
    if (task) {
      if (record.status === 'paused') await task.resume(call)
      await task.kill(options.signal, call)
      const graceful = await within(end, options.graceMs, call)
      if (graceful) return graceful
      await task.killAll(call)
    }
    const killed = await within(end, killGraceMs, call)
    if (killed) return killed
  } finally {
    ended.abort()
  }
  throw containerErrors.error('stop_failed', {
    message: `${record.name} did not end within ${options.graceMs + killGraceMs} ms, SIGKILL included: its processes are stuck in the kernel (pid ${record.pid}). See /proc/${record.pid}/stack.`,
    subject: { type: 'container', id: record.id },
    retryable: true,
    details: { pid: record.pid },
  })
}

/** Signals the first process. */
export async function killContainer(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  signal: number,
  call?: CallOptions,
): Promise<void> {
  requireRunning(record, 'kill')
  const task = await liveTask(services, holder, record, call)
  await task?.kill(signal, call)
  services.journal.append({
    type: 'container',
    action: 'kill',
    subject: record.id,
    attributes: { name: record.name, signal: String(signal) },
  })
}

async function within<T>(work: Promise<T>, ms: number, call?: CallOptions): Promise<T | null> {
  const { promise, resolve, reject } = Promise.withResolvers<null>()
  const timer = setTimeout(() => resolve(null), ms)
  const onAbort = () => reject(call?.signal?.reason)
  call?.signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
    call?.signal?.removeEventListener('abort', onAbort)
  }
}
