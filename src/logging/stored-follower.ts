import type { LogEntry, LogReader } from '../driver-kit/log-driver.ts'
import type { BatchSource } from './batch-iterator.ts'
import { checkQuery, EntryFilter } from './entry-filter.ts'
import type { FollowQuery } from './follow.ts'
import { PartialJoiner } from './partial-joiner.ts'
import { StoredBatches } from './stored-batches.ts'

export type ReadLogQuery = Omit<FollowQuery, 'follow'>

/** Waits between looks at a log that another process writes: short after something came, longer in quiet times. */
const shortestPollMs = 10
const longestPollMs = 250

/**
 * A stored log, read once when `ended` is null. Else it is followed, without help of the process that writes it, by
 * looking at what is stored; `ended` fires when the container has ended, whereupon the rest is read and that is all.
 */
export class StoredFollower implements BatchSource {
  readonly #reader: LogReader
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

  constructor(reader: LogReader, query: ReadLogQuery, ended: AbortSignal | null) {
    checkQuery(query)
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
    if (this.#begun) return new StoredBatches(this.#reader, { until, streams, after: this.#cursor })
    this.#begun = true
    // The first look may keep entries back (`tail`, `since`) that later looks must not bring.
    const last = await this.#reader.lastSequence()
    const stored = new StoredBatches(this.#reader, { ...this.#query, signal: undefined })
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
