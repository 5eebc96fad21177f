import { type FSWatcher, utimesSync, watch } from 'node:fs'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Database, Durability, SqlValue } from './database.ts'
import type { RootPaths } from './paths.ts'
import { parseStoredJson } from './stored-json.ts'

/** What an event is about. */
export type EventType = 'container' | 'image' | 'network' | 'volume' | 'engine'

/** Something that happened on a data root, whichever process did it. */
export interface EngineEvent {
  /** Grows by at least one per event; never repeats on a root. */
  readonly sequence: bigint
  readonly time: Date
  readonly type: EventType
  /** Docker's words: create, start, die, destroy, load, tag, ... */
  readonly action: string
  /** The id of what it happened to. */
  readonly subject: string
  readonly attributes: Readonly<Record<string, string>>
}

/** Which events to read. `follow` goes on with new ones until the loop is left, the signal fires or `until` passes. */
export interface EventQuery extends CallOptions {
  /** Events after this one, or at or after this time. Default: from now on when following, else all. */
  readonly since?: Date | bigint | undefined
  readonly until?: Date | undefined
  readonly types?: readonly EventType[] | undefined
  readonly actions?: readonly string[] | undefined
  readonly subject?: string | undefined
  /** Default true. */
  readonly follow?: boolean | undefined
}

type EventRow = {
  readonly sequence: number
  readonly time: number
  readonly type: string
  readonly action: string
  readonly subject: string
  readonly attributes: string
}

const page = 500
/** The journal keeps this many events. */
const kept = 100_000
/** When a reader looks again after it was woken: a writer may have been killed before it could say that it was done. */
const looksAfterMs = [20, 200, 1000]

/** The record of what happened; readers in all processes see every event once and in order. */
export class EventJournal {
  readonly #db: Database
  readonly #paths: RootPaths
  readonly #listeners = new Set<() => void>()
  #sinceTrim = 0

  constructor(db: Database, paths: RootPaths) {
    this.#db = db
    this.#paths = paths
  }

  /** Inside a transaction the event stands or falls with it. */
  append(
    event: { type: EventType; action: string; subject: string; attributes?: Readonly<Record<string, string>> },
    durability: Durability = 'process',
  ): void {
    this.#db.transaction(() => {
      this.#db.run(
        'INSERT INTO events (time, type, action, subject, attributes) VALUES (?, ?, ?, ?, ?)',
        Date.now(),
        event.type,
        event.action,
        event.subject,
        JSON.stringify(event.attributes ?? {}),
      )
      if (++this.#sinceTrim >= 1000) {
        this.#sinceTrim = 0
        this.#db.run('DELETE FROM events WHERE sequence <= (SELECT MAX(sequence) FROM events) - ?', kept)
      }
    }, durability)
    // After the transaction around it, if there is one, has committed.
    queueMicrotask(() => {
      for (const wake of this.#listeners) wake()
      this.#touch()
    })
  }

  /**
   * Wakes readers in other processes. They hear of the write to the WAL too, but that comes before the commit can be
   * seen, by as much as an fsync takes.
   */
  #touch(): void {
    try {
      const now = new Date()
      utimesSync(this.#wal, now, now)
    } catch {
      // Closed meanwhile, which takes the file away and wakes them as well.
    }
  }

  get #wal(): string {
    return `${this.#paths.database}-wal`
  }

  /** The newest event's number, 0n when there is none. */
  lastSequence(): bigint {
    return BigInt(this.#db.get<{ last: number | null }>('SELECT MAX(sequence) AS last FROM events')?.last ?? 0)
  }

  async *read(query: EventQuery = {}): AsyncIterable<EngineEvent> {
    const follow = query.follow ?? true
    let after = this.#start(query, follow)
    if (!follow) {
      yield* this.#drain(query, after)
      return
    }
    const changes = new ChangeSignal(this.#listeners, this.#wal, query)
    try {
      while (true) {
        changes.reset()
        for (const event of this.#drain(query, after)) {
          after = event.sequence
          yield event
        }
        if (query.signal?.aborted || (query.until && Date.now() > query.until.getTime())) return
        await changes.next()
      }
    } finally {
      changes[Symbol.dispose]()
    }
  }

  #start(query: EventQuery, follow: boolean): bigint {
    if (typeof query.since === 'bigint') return query.since
    if (query.since || !follow) return 0n
    return this.lastSequence()
  }

  *#drain(query: EventQuery, after: bigint): Iterable<EngineEvent> {
    const conditions = ['sequence > ?']
    const values: SqlValue[] = []
    const only = (column: string, list: readonly string[] | undefined) => {
      if (!list) return
      conditions.push(`${column} IN (SELECT value FROM json_each(?))`)
      values.push(JSON.stringify(list))
    }
    only('type', query.types)
    only('action', query.actions)
    only('subject', query.subject === undefined ? undefined : [query.subject])
    if (query.since instanceof Date) {
      conditions.push('time >= ?')
      values.push(query.since.getTime())
    }
    if (query.until) {
      conditions.push('time <= ?')
      values.push(query.until.getTime())
    }
    const sql = `SELECT * FROM events WHERE ${conditions.join(' AND ')} ORDER BY sequence LIMIT ${page}`
    let last = after
    while (true) {
      const rows = this.#db.all<EventRow>(sql, last, ...values)
      for (const row of rows) {
        last = BigInt(row.sequence)
        yield {
          sequence: last,
          time: new Date(row.time),
          type: row.type as EventType,
          action: row.action,
          subject: row.subject,
          attributes: parseStoredJson<Record<string, string>>(row.attributes, `event ${row.sequence}`),
        }
      }
      if (rows.length < page) return
    }
  }
}

/** Wakes a reader for changes of this process, of other processes (their writes touch the WAL) and of the query's end. */
class ChangeSignal implements Disposable {
  readonly #listeners: Set<() => void>
  readonly #wake = () => this.#resolve?.()
  readonly #onWrite = () => {
    this.#wake()
    this.#lookLater(0)
  }
  readonly #watcher: FSWatcher
  readonly #timer: NodeJS.Timeout | null
  readonly #signal: AbortSignal | undefined
  #resolve: (() => void) | null = null
  #changed: Promise<void> = Promise.resolve()
  #later: NodeJS.Timeout | undefined

  constructor(listeners: Set<() => void>, wal: string, query: EventQuery) {
    this.#listeners = listeners
    this.#listeners.add(this.#wake)
    this.#watcher = watch(wal, this.#onWrite)
    this.#watcher.on('error', this.#wake)
    this.#timer = query.until ? setTimeout(this.#wake, Math.max(0, query.until.getTime() - Date.now()) + 1) : null
    this.#signal = query.signal
    this.#signal?.addEventListener('abort', this.#wake)
    this.reset()
  }

  reset(): void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#changed = promise
    this.#resolve = resolve
    if (this.#signal?.aborted) resolve()
  }

  next(): Promise<void> {
    return this.#changed
  }

  #lookLater(round: number): void {
    clearTimeout(this.#later)
    const ms = looksAfterMs[round]
    if (ms === undefined) return
    this.#later = setTimeout(() => {
      this.#wake()
      this.#lookLater(round + 1)
    }, ms)
  }

  [Symbol.dispose](): void {
    this.#listeners.delete(this.#wake)
    this.#signal?.removeEventListener('abort', this.#wake)
    this.#watcher.close()
    clearTimeout(this.#later)
    if (this.#timer) clearTimeout(this.#timer)
  }
}
