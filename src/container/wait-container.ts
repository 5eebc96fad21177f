import { containerErrors } from '../errors/container-errors.ts'
import { type CallOptions, raceAbort } from '../lifetime/call-options.ts'
import type { ContainerRecord, ExitStatus } from './container-record.ts'
import type { LocalHolder } from './local-holder.ts'
import type { ContainerServices } from './services.ts'
import { isRunning } from './state-guards.ts'

/**
 * - `not-running`: now if it does not run, else at its end.
 * - `next-exit`: at the next end, even of a later start.
 * - `removed`: when the container is gone.
 */
export type WaitCondition = 'not-running' | 'next-exit' | 'removed'

/** Waits for a condition, whichever process holds the container; resolves with its last exit status. */
export async function waitForContainer(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  until: WaitCondition,
  call?: CallOptions,
): Promise<ExitStatus> {
  const what = `Waiting for ${record.name}`
  // The short way: no journal, no file watch.
  const held = until === 'removed' ? null : holder.get(record.id)
  if (held) return raceAbort(held.finished, call?.signal, what)

  let last = record.exit
  // The journal is read from before the record is looked at, so that nothing can fall between the two.
  const since = services.journal.lastSequence()
  const current = services.records.find(record.id)
  if (current) last = current.exit ?? last
  if (!current) return last ?? endedWithoutStatus(record)
  if (until === 'not-running' && (current.status === 'exited' || current.status === 'created')) return last ?? neverRan
  // Without a monitor nobody would see the end.
  if (current.lifetime === 'detached' && isRunning(current) && services.owner.role === 'engine')
    await services.detached.ensure(call)
  const events = services.journal.read({
    since,
    subject: record.id,
    types: ['container'],
    actions: ['die', 'destroy'],
    signal: call?.signal,
  })
  for await (const event of events) {
    last = services.records.find(record.id)?.exit ?? exitFromEvent(event.attributes, event.time) ?? last
    if (event.action === 'destroy') return last ?? neverRan
    if (until !== 'removed') return last ?? endedWithoutStatus(record)
  }
  return raceAbort(new Promise<never>(() => {}), call?.signal, what)
}

/** What Docker answers for a container that was never started. */
const neverRan: ExitStatus = { exitCode: 0, signal: null, oomKilled: false, finishedAt: new Date(0) }

// The event says it too: with auto-removal the record may be gone before a reader in another process looks.
function exitFromEvent(attributes: Readonly<Record<string, string>>, time: Date): ExitStatus | null {
  if (attributes['exitCode'] === undefined) return null
  return {
    exitCode: Number(attributes['exitCode']),
    signal: attributes['signal'] || null,
    oomKilled: attributes['oomKilled'] === 'true',
    finishedAt: time,
  }
}

function endedWithoutStatus(record: ContainerRecord): never {
  throw containerErrors.error('not_found', {
    message: `Container ${record.name} was removed while it was waited for, and left no exit status.`,
    subject: { type: 'container', id: record.id },
  })
}
