import type { LogEntry } from '../driver-kit/log-driver.ts'
import { callErrors } from '../errors/call-errors.ts'

/** A batch of entries as bytes, for other processes. Keep batches below some MiB; the reader wants the whole of one. */
export function encodeEntries(_batch: readonly LogEntry[]): Buffer {
  throw callErrors.error('internal', { message: 'encodeEntries is being written' })
}

/** The batch that `encodeEntries` packed; the entries are views into `bytes`. */
export function decodeEntries(_bytes: Uint8Array): readonly LogEntry[] {
  throw callErrors.error('internal', { message: 'decodeEntries is being written' })
}
