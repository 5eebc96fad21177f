import { containerErrors } from '../errors/container-errors.ts'
import type { ContainerRecord } from './container-record.ts'

const subjectOf = (record: ContainerRecord) => ({ type: 'container', id: record.id })

export const isRunning = (record: ContainerRecord): boolean => record.status === 'running' || record.status === 'paused'

/** Refuses a call that needs a living first process. */
export function requireRunning(record: ContainerRecord, what: string): void {
  if (isRunning(record)) return
  throw containerErrors.error('not_running', {
    message: `${what} needs a running container; ${record.name} is ${record.status}. Start it first.`,
    subject: subjectOf(record),
    details: { status: record.status },
  })
}

/** The refusal when another call changed the container's state first. */
export function stateConflict(record: ContainerRecord, what: string) {
  return isRunning(record)
    ? containerErrors.error('running', {
        message: `${what} needs a container that does not run; ${record.name} is ${record.status}. Stop it first.`,
        subject: subjectOf(record),
        details: { status: record.status },
      })
    : containerErrors.error('busy', {
        message: `${what} must wait: ${record.name} is ${record.status} by another call. Try again when that is done.`,
        subject: subjectOf(record),
        retryable: true,
        details: { status: record.status },
      })
}
