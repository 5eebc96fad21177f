import type { LogEntry, LogQuery } from '../driver-kit/log-driver.ts'
import { loggingErrors } from '../errors/logging-errors.ts'
import { type BatchSource, iterateBatches } from './batch-iterator.ts'
import { checkQuery, EntryFilter, nanoseconds } from './entry-filter.ts'
import type { LiveLog } from './live-log.ts'
import { PartialJoiner } from './partial-joiner.ts'
import { StoredBatches } from './stored-batches.ts'

/** What to read, and whether to go on with what comes. */
export interface FollowQuery extends LogQuery {
  /** Go on until the output ends. Default true for `pump.follow`. */
  readonly follow?: boolean | undefined
  /**
   * Put the pieces of long lines together again, up to 1 MiB a line; longer lines come in their pieces. A rejoined line
   * has the time and sequence of its last piece. Default true; false gives the entries as stored.
   */
  readonly rejoin?: boolean | undefined
}

/**
 * How long in all the container waits while a follower that is behind reads the stored log: without it a loop that the
 * two share would let a fast container get ever further ahead.
 */
const holdMs = 500

/**
 * A follower: a place in the log that moves on. It takes entries from the recent ones where these still have them and
 * from the stored log where not, so it has no queue of its own, and one that is slow holds up nobody.
 */
export class LogFollower implements BatchSource {
  readonly #live: LiveLog
  readonly #query: FollowQuery
  readonly #filter: EntryFilter
  readonly #joiner: PartialJoiner | null
  #leave: (() => void) | null = null
  #stored: StoredBatches | null = null
  /** What was stored when reading the stored log began. */
  #horizon = 0
  /** Everything up to this sequence number has been handled. */
  #cursor: number
  /** Without `follow`: where to end. */
  #end = 0
  #cancelWait: (() => void) | null = null
  /** What is left of `holdMs` until this follower has caught up. */
  #holdLeft = holdMs
  #state: 'new' | 'reading' | 'flushed' | 'closed' = 'new'

  constructor(live: LiveLog, query: FollowQuery) {
    checkQuery(query)
    this.#live = live
    this.#query = query
    this.#filter = new EntryFilter(query)
    this.#joiner = query.rejoin === false ? null : new PartialJoiner()
    this.#cursor = Number(query.after ?? 0n)
  }

  /** The sequence number up to which entries have been handled. */
  get cursor(): number {
    return this.#cursor
  }

  async next(): Promise<readonly LogEntry[] | null> {
    if (this.#state === 'new') await this.#begin()
    while (this.#state === 'reading') {
      const batch = this.#stored ? await this.#takeStored(this.#stored) : this.#takeRecent()
      if (batch) return this.#deliver(batch)
      if (this.#stored || this.#state !== 'reading') continue
      if (this.#filter.pastEnd || this.#atEnd()) return this.#flush()
      if (this.#live.recent.last > this.#cursor) this.#fallBack()
      else if (!(await this.#waitForMore())) return this.#flush()
    }
    this.#release()
    return null
  }

  async #begin(): Promise<void> {
    const { recent, reader } = this.#live
    this.#state = 'reading'
    this.#leave = this.#live.addFollower()
    this.#end = recent.last
    if (this.#query.tail === 0) {
      this.#cursor = Math.max(this.#cursor, this.#end)
      return
    }
    if (!reader)
      throw loggingErrors.error('not_readable', {
        message:
          'This log cannot be read back: its driver only sends it away. Follow with `tail: 0` to get what comes from now on.',
      })
    // The last n lines can only be counted among what is stored.
    while (this.#query.tail !== undefined && recent.stored < this.#end && this.#isReading()) await this.#wait()
    if (this.#isReading()) this.#openStored({ ...this.#query, signal: undefined })
  }

  #isReading(): boolean {
    return this.#state === 'reading'
  }

  #openStored(query: LogQuery): void {
    this.#horizon = this.#live.recent.stored
    this.#stored = new StoredBatches(this.#live.reader!, query)
  }

  async #takeStored(stored: StoredBatches): Promise<readonly LogEntry[] | null> {
    const batch = await this.#readStored(stored)
    if (!this.#isReading()) return null
    if (batch) {
      this.#cursor = Math.max(this.#cursor, Number(batch.at(-1)!.sequence))
      return batch
    }
    // What the query kept back, up to what was stored when reading began, is handled too.
    this.#cursor = Math.max(this.#cursor, this.#horizon)
    this.#stored = null
    return null
  }

  /** The container is held up by the reading only, never by what the follower's caller does with the entries. */
  async #readStored(stored: StoredBatches): Promise<readonly LogEntry[] | null> {
    if (this.#holdLeft <= 0) return stored.next()
    const letGo = this.#live.hold()
    const started = performance.now()
    try {
      return await stored.next()
    } finally {
      this.#holdLeft -= performance.now() - started
      letGo()
    }
  }

  #takeRecent(): readonly LogEntry[] | null {
    const batch = this.#live.recent.from(this.#cursor + 1)
    if (!batch) return null
    this.#cursor += batch.length
    this.#holdLeft = holdMs
    return batch
  }

  /** The recent entries do not go back as far as this follower is behind. */
  #fallBack(): void {
    const { recent, reader } = this.#live
    const { until, streams } = this.#query
    if (reader) this.#openStored({ until, streams, after: BigInt(this.#cursor) })
    else {
      const next = recent.firstHeld ?? recent.last + 1
      this.#live.reportGap(next - 1 - this.#cursor)
      this.#cursor = next - 1
    }
  }

  #deliver(batch: readonly LogEntry[]): readonly LogEntry[] {
    const admitted = this.#filter.push(batch)
    return this.#joiner ? this.#joiner.push(admitted) : admitted
  }

  #atEnd(): boolean {
    const { recent, ended } = this.#live
    if (this.#cursor < recent.last) return this.#query.follow === false && this.#cursor >= this.#end
    return ended || this.#query.follow === false
  }

  /** False when nothing that comes can match any more. */
  async #waitForMore(): Promise<boolean> {
    const { until } = this.#query
    if (until === undefined) {
      await this.#wait()
      return true
    }
    // The engine's clock may differ from the entries' by a chunk's way through the loop; a little later is no harm.
    const ms = Number(nanoseconds(until) / 1_000_000n) - Date.now() + 50
    if (ms <= 0) return false
    await this.#wait(ms)
    return true
  }

  async #wait(ms?: number): Promise<void> {
    const { promise, cancel } = this.#live.arrivals.wait(ms)
    this.#cancelWait = cancel
    await promise
    this.#cancelWait = null
  }

  #flush(): readonly LogEntry[] {
    this.#state = 'flushed'
    return this.#joiner?.flush() ?? []
  }

  #release(): void {
    this.#leave?.()
    this.#leave = null
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    this.#release()
    this.#cancelWait?.()
    const stored = this.#stored
    this.#stored = null
    await stored?.close()
  }
}

/** The entries of a pump's log that the query lets through. */
export function followLog(live: LiveLog, query: FollowQuery = {}): AsyncIterable<LogEntry> {
  checkQuery(query)
  return iterateBatches(() => new LogFollower(live, query), query.signal)
}
