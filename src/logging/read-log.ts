import type { LogEntry, LogReader } from '../driver-kit/log-driver.ts'
import { callErrors } from '../errors/call-errors.ts'
import type { FollowQuery } from './follow.ts'

/** Reads a stored log. `follow` is not for it: see `followReader`. */
export function readLog(_reader: Pick<LogReader, 'read'>, _query?: Omit<FollowQuery, 'follow'>): AsyncIterable<LogEntry> {
  throw callErrors.error('internal', { message: 'readLog is being written' })
}

/**
 * Follows a log that another process writes by looking at what is stored, without help of that process; `ended` fires
 * when the container has ended, whereupon the rest is read and the iteration ends.
 */
export function followReader(
  _reader: Pick<LogReader, 'read'>,
  _query: Omit<FollowQuery, 'follow'>,
  _ended: AbortSignal,
): AsyncIterable<LogEntry> {
  throw callErrors.error('internal', { message: 'followReader is being written' })
}
