import type { LogEntry, LogReader } from '../driver-kit/log-driver.ts'
import { type BatchSource, iterateBatches } from './batch-iterator.ts'
import { checkQuery, EntryFilter } from './entry-filter.ts'
import { type FollowQuery, StoredBatches } from './follow.ts'
import { PartialJoiner } from './partial-joiner.ts'

export type ReadLogQuery = Omit<FollowQuery, 'follow'>

/** Waits between looks at a log that another process writes: short after something came, longer in quiet times. */
const shortestPollMs = 10
const longestPollMs = 250

/** A stored log, followed until `ended` fires; read once when that is null. */
class StoredFollower implements BatchSource {
  readonly #reader: Pick<LogReader, 'read' | 'lastSequence'>
  readonly #query: ReadLogQuery
  readonly #ended: AbortSignal | null
  readonly #filter: EntryFilter
  readonly #joiner: PartialJoiner | null
  #stored: StoredBatches | null = null
  #cursor: bigint
  #begun = false
  #lastLook = false
  #flushed = false
  #closed = false
  #pollMs = shortestPollMs
  #wake: () => void = () => {}

  constructor(reader: Pick<LogReader, 'read' | 'lastSequence'>, query: ReadLogQuery, ended: AbortSignal | null) {
    this.#reader = reader
    this.#query = query
    this.#ended = ended
    this.#filter = new EntryFilter(query)
    this.#joiner = query.rejoin === false ? null : new PartialJoiner()
    this.#cursor = query.after ?? 0n
  }

  async next(): Promise<readonly LogEntry[] | null> {
    while (!this.#closed && !this.#flushed) {
      this.#stored ??= await this.#look()
      const batch = await this.#stored.next()
      if (batch) return this.#take(batch)
      this.#stored = null
      if (this.#lastLook || this.#filter.pastEnd) {
        this.#flushed = true
        return this.#joiner?.flush() ?? []
      }
      await this.#pause()
    }
    return null
  }

  async #look(): Promise<StoredBatches> {
    // Asked before looking: what was written before the end is found by a look after it.
    this.#lastLook = this.#ended?.aborted ?? true
    const { until, streams } = this.#query
    if (this.#begun) return new StoredBatches(this.#reader.read({ until, streams, after: this.#cursor }))
    this.#begun = true
    // The first look may keep entries back (`tail`, `since`) that later looks must not bring.
    const last = await this.#reader.lastSequence()
    const stored = new StoredBatches(this.#reader.read({ ...this.#query, signal: undefined }))
    if (last > this.#cursor) this.#cursor = last
    return stored
  }

  #take(batch: readonly LogEntry[]): readonly LogEntry[] {
    const last = batch.at(-1)!.sequence
    if (last > this.#cursor) this.#cursor = last
    this.#pollMs = shortestPollMs
    const admitted = this.#filter.push(batch)
    return this.#joiner ? this.#joiner.push(admitted) : admitted
  }

  async #pause(): Promise<void> {
    if (this.#closed || this.#ended?.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, this.#pollMs)
    this.#pollMs = Math.min(this.#pollMs * 1.5, longestPollMs)
    this.#wake = resolve
    this.#ended?.addEventListener('abort', this.#wake, { once: true })
    await promise
    clearTimeout(timer)
    this.#ended?.removeEventListener('abort', this.#wake)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wake()
    const stored = this.#stored
    this.#stored = null
    await stored?.close()
  }
}

/** The entries of a stored log that the query lets through. */
export function readLog(reader: LogReader, query: ReadLogQuery = {}): AsyncIterable<LogEntry> {
  checkQuery(query)
  return iterateBatches(() => new StoredFollower(reader, query, null), query.signal)
}

/**
 * Follows a log that another process writes by looking at what is stored, without help of that process; `ended` fires
 * when the container has ended, whereupon the rest is read and the iteration ends.
 */
export function followReader(reader: LogReader, query: ReadLogQuery, ended: AbortSignal): AsyncIterable<LogEntry> {
  checkQuery(query)
  return iterateBatches(() => new StoredFollower(reader, query, ended), query.signal)
}
