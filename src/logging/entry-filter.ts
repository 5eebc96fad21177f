import type { LogEntry, LogQuery } from '../driver-kit/log-driver.ts'
import { loggingErrors } from '../errors/logging-errors.ts'

/** A point in time as entries have it. */
export const nanoseconds = (time: Date | bigint): bigint =>
  typeof time === 'bigint' ? time : BigInt(time.getTime()) * 1_000_000n

const bad = (message: string, key: string) =>
  loggingErrors.error('bad_query', { message, subject: { type: 'log query', id: key }, details: { key } })

function checkTime(key: string, time: unknown): void {
  if (time === undefined || typeof time === 'bigint') return
  if (!(time instanceof Date) || Number.isNaN(time.getTime()))
    throw bad(`"${key}" of a log query must be a valid Date, or a bigint in nanoseconds since the epoch.`, key)
}

/** Refuses what no log can answer, by name. */
export function checkQuery(query: LogQuery): void {
  const { tail, streams } = query
  if (tail !== undefined && !(Number.isSafeInteger(tail) && tail >= 0))
    throw bad(`"tail" of a log query must be a number of lines, 0 or more, not ${String(tail)}.`, 'tail')
  checkTime('since', query.since)
  checkTime('until', query.until)
  if (query.after !== undefined && typeof query.after !== 'bigint')
    throw bad('"after" of a log query must be a sequence number (bigint).', 'after')
  const wrong = streams?.find((stream) => stream !== 'stdout' && stream !== 'stderr')
  if (wrong !== undefined)
    throw bad(`"streams" of a log query may hold 'stdout' and 'stderr', not ${JSON.stringify(wrong)}.`, 'streams')
}

/** The conditions of a query on single entries, batch by batch. */
export class EntryFilter {
  readonly #since: bigint | null
  readonly #until: bigint | null
  readonly #streams: ReadonlySet<string> | null
  readonly #after: bigint | null
  #pastEnd = false

  constructor(query: LogQuery) {
    this.#since = query.since === undefined ? null : nanoseconds(query.since)
    this.#until = query.until === undefined ? null : nanoseconds(query.until)
    this.#streams = query.streams ? new Set(query.streams) : null
    this.#after = query.after ?? null
  }

  /** An entry after `until` was seen: as times never run back, no later one can match. */
  get pastEnd(): boolean {
    return this.#pastEnd
  }

  push(batch: readonly LogEntry[]): readonly LogEntry[] {
    if (this.#since === null && this.#until === null && this.#streams === null && this.#after === null) return batch
    return batch.filter((entry) => this.#admits(entry))
  }

  #admits(entry: LogEntry): boolean {
    if (this.#until !== null && entry.time > this.#until) {
      this.#pastEnd = true
      return false
    }
    if (this.#since !== null && entry.time < this.#since) return false
    if (this.#after !== null && entry.sequence <= this.#after) return false
    return this.#streams === null || this.#streams.has(entry.stream)
  }
}
