import type { LogEntry, LogStream } from '../driver-kit/log-driver.ts'
import { loggingErrors } from '../errors/logging-errors.ts'
import { type AttachedOutput, AttachedStream, type AttachOptions, attachedOutput } from './attach-output.ts'
import type { BatchSource } from './batch-iterator.ts'
import { ByteSource, type ByteSourceEvents, type PipeSource } from './byte-source.ts'
import type { ChunkEntry } from './chunk-entry.ts'
import { type FollowQuery, followLog, LogFollower } from './follow.ts'
import { LineSplitter, type Numbering } from './line-splitter.ts'
import { Arrivals, type LiveLog, readerOf } from './live-log.ts'
import { LogClock } from './log-clock.ts'
import type { LogPump, LogPumpOptions, LogPumpStats } from './log-pump.ts'
import { LogWriter } from './log-writer.ts'
import { PartialJoiner } from './partial-joiner.ts'
import { RecentEntries } from './recent-entries.ts'
import type { RecoveredSpools } from './recover-spool.ts'
import { SpoolSource } from './spool-source.ts'

/** With more than this waiting for the sink, the pump reads no further: the container waits at its full pipe. */
const highWater = 2 << 20
const lowWater = 512 << 10
/** Kept for followers that are a little behind; more for logs that cannot be read back. */
const keepBytes = 1 << 20
const keepUnreadableBytes = 8 << 20
/** What an entry takes in memory at least, however short its line is. */
const entryBytes = 64
/** What a FIFO of ours holds: so much may have waited for a new holder. */
const waitingBytes = 1 << 20
/** A FIFO holds at most 1 MiB; somebody who still writes into it must not keep its holder for ever. */
const drainBytes = 16 << 20

/** One of the two streams on its way. */
interface Lane {
  readonly stream: LogStream
  readonly source: PipeSource
  /** The same source when it goes through a spool. */
  readonly spool: SpoolSource | null
  readonly splitter: LineSplitter
  /** For the spool: which of its bytes are in entries up to which sequence number. */
  readonly marks: { readonly last: number; offset: number }[]
  bytes: number
  ended: boolean
}

export class OutputPump implements LogPump, LiveLog {
  readonly finished: Promise<void>
  readonly recent: RecentEntries
  readonly reader: LiveLog['reader']
  readonly arrivals = new Arrivals()
  readonly #options: LogPumpOptions
  readonly #numbering: Numbering
  readonly #first: number
  readonly #clock: () => bigint
  readonly #writer: LogWriter
  readonly #lanes: Readonly<Record<LogStream, Lane>>
  readonly #attached = new Set<AttachedStream>()
  readonly #listener: PartialJoiner | null
  readonly #done = Promise.withResolvers<void>()
  #followers = 0
  #holds = 0
  #paused = false
  #ending = false
  #ended = false
  #approximate = false
  /** Stopped before the output ended: another pump will go on. */
  #handOver = false

  constructor(options: LogPumpOptions, spools: RecoveredSpools | null) {
    this.#options = options
    this.#first = Number(options.firstSequence)
    this.#numbering = { next: this.#first }
    this.recent = new RecentEntries(this.#first - 1)
    const { sink } = options
    this.reader = readerOf(sink)
    const clock = new LogClock(options.notBefore, options.now)
    this.#clock = () => clock.now()
    this.#listener = options.onEntry ? new PartialJoiner() : null
    this.#writer = new LogWriter({
      sink,
      diagnostics: options.diagnostics,
      subject: options.subject,
      onStored: (last) => this.#onStored(last),
    })
    this.finished = this.#done.promise
    const stdout = this.#lane('stdout', options.stdout, spools)
    try {
      this.#lanes = { stdout, stderr: this.#lane('stderr', options.stderr, spools) }
    } catch (error) {
      stdout.source.close()
      throw error
    }
    this.#takeWhatWaits()
  }

  get ended(): boolean {
    return this.#ended
  }

  get stats(): LogPumpStats {
    return {
      entries: this.#numbering.next - this.#first,
      bytes: { stdout: this.#lanes.stdout.bytes, stderr: this.#lanes.stderr.bytes },
      lostEntries: this.#writer.lost,
    }
  }

  follow(query: FollowQuery = {}): AsyncIterable<LogEntry> {
    return followLog(this, query)
  }

  followBatches(query: FollowQuery = {}): BatchSource {
    return new LogFollower(this, query)
  }

  attach(options: AttachOptions = {}): AttachedOutput {
    return attachedOutput((stream) => {
      const lane = this.#lanes[stream]
      const attached = new AttachedStream(this, lane, options, () => {
        this.#attached.delete(attached)
        this.#balance()
      })
      this.#attached.add(attached)
      return attached
    }, options)
  }

  addFollower(): () => void {
    this.#followers++
    let here = true
    return () => {
      if (here) this.#followers--
      here = false
      this.#evict()
    }
  }

  hold(): () => void {
    this.#holds++
    this.#balance()
    return () => {
      this.#holds--
      this.#balance()
    }
  }

  reportGap(entries: number): void {
    this.#report('warning', `A follower was too slow and missed ${entries} log entries: this log cannot be read back.`)
  }

  drainAndFinish(): Promise<void> {
    for (const lane of this.#allLanes()) {
      if (lane.ended) continue
      this.#drain(lane, drainBytes)
      lane.source.close()
      this.#endLane(lane)
    }
    return this.finished
  }

  stop(): Promise<void> {
    for (const lane of this.#allLanes()) {
      lane.source.close()
      // The beginning of a line stays in the spool, for the pump that goes on with it.
      if (lane.spool) this.#handOver = true
      this.#endLane(lane)
    }
    return this.finished
  }

  #allLanes(): readonly Lane[] {
    return [this.#lanes.stdout, this.#lanes.stderr]
  }

  #lane(stream: LogStream, fd: number, spools: RecoveredSpools | null): Lane {
    const splitter = new LineSplitter(stream, this.#options.maxLineBytes ?? 16384, this.#numbering)
    const events: ByteSourceEvents = {
      onBytes: (bytes) => this.#onBytes(lane, bytes),
      onEnd: (error) => {
        if (error) this.#reportReadFailure(stream, error)
        this.#endLane(lane)
      },
      onStarved: (reason) =>
        this.#report('error', 'There is no room to take output of a container; it waits until there is.', reason),
    }
    const recovered = spools?.[stream]
    if (recovered?.open) splitter.continueLine(recovered.open)
    const spool = recovered ? new SpoolSource(fd, recovered.file, recovered.stored, events) : null
    const source = spool ?? new ByteSource(fd, events)
    const lane: Lane = { stream, source, spool, splitter, marks: [], bytes: 0, ended: false }
    return lane
  }

  /** What a dead holder left behind: in its spools, and in the pipes when the program runs on. */
  #takeWhatWaits(): void {
    const { adopted } = this.#options
    this.#approximate = true
    for (const lane of this.#allLanes()) {
      lane.spool?.recover()
      if (adopted) {
        this.#drain(lane, waitingBytes)
        lane.source.resume()
      } else this.#publish(lane, lane.splitter.end(this.#clock()), 0)
    }
    this.#approximate = false
    this.#balance()
  }

  #drain(lane: Lane, most: number): void {
    try {
      lane.source.drain(most)
    } catch (error) {
      this.#reportReadFailure(lane.stream, error)
    }
  }

  #onBytes(lane: Lane, bytes: Buffer): void {
    lane.bytes += bytes.length
    const time = this.#clock()
    this.#publish(lane, lane.splitter.push(bytes, time, this.#approximate), bytes.length)
    for (const attached of this.#attached) attached.offer(lane.stream, bytes)
    if (this.#options.onBytes) this.#guarded(() => this.#options.onBytes!(lane.stream, bytes))
    this.#balance()
  }

  #publish(lane: Lane, entries: readonly ChunkEntry[], bytes: number): void {
    if (entries.length === 0) return
    const last = this.#numbering.next - 1
    if (lane.spool) lane.marks.push({ last, offset: lane.spool.given - lane.splitter.pendingBytes })
    const size = Math.max(bytes, entries.length * entryBytes)
    const batch = { entries, first: last - entries.length + 1, last, bytes: size }
    this.recent.add(batch)
    this.#writer.add(batch)
    if (this.#listener) this.#listen(this.#listener.push(entries))
    this.arrivals.announce()
  }

  #listen(entries: readonly LogEntry[]): void {
    for (const entry of entries) this.#guarded(() => this.#options.onEntry!(entry))
  }

  #guarded(listener: () => void): void {
    try {
      listener()
    } catch (error) {
      this.#report('error', 'A listener to the output of a container threw.', error)
    }
  }

  #onStored(last: number): void {
    this.recent.markStored(last)
    for (const lane of this.#allLanes()) if (lane.spool) this.#shrinkSpool(lane, lane.spool, last)
    this.#evict()
    this.#balance()
    this.arrivals.announce()
  }

  #shrinkSpool(lane: Lane, spool: SpoolSource, last: number): void {
    let offset = 0
    while (lane.marks.length > 0 && lane.marks[0]!.last <= last) offset = lane.marks.shift()!.offset
    const shrunk = spool.stored(last, offset)
    if (shrunk > 0) for (const mark of lane.marks) mark.offset -= shrunk
  }

  #evict(): void {
    const keep = this.reader ? keepBytes : keepUnreadableBytes
    this.recent.evict(this.#followers > 0 ? keep : 0)
  }

  /** Reads on, or lets the container wait, by how much waits to be stored or taken. */
  #balance(): void {
    const waiting = this.#writer.queuedBytes
    let paused = this.#holds > 0 || (this.#paused ? waiting > lowWater : waiting > highWater)
    for (const attached of this.#attached) paused ||= attached.blocks
    if (paused === this.#paused) return
    this.#paused = paused
    for (const lane of this.#allLanes()) {
      if (lane.ended) continue
      if (paused) lane.source.pause()
      else lane.source.resume()
    }
  }

  #endLane(lane: Lane): void {
    if (lane.ended) return
    lane.ended = true
    if (!this.#handOver) this.#publish(lane, lane.splitter.end(this.#clock()), 0)
    this.arrivals.announce()
    if (this.#allLanes().every(({ ended }) => ended)) void this.#finish()
  }

  async #finish(): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    if (this.#listener) this.#listen(this.#listener.flush())
    await this.#writer.finish()
    if (!this.#handOver && this.#writer.lost === 0)
      for (const lane of this.#allLanes()) this.#guarded(() => lane.spool?.discard())
    this.#ended = true
    this.arrivals.announce()
    this.#done.resolve()
  }

  #reportReadFailure(stream: LogStream, cause: unknown): void {
    const message = `Reading ${stream} of a container failed; what it writes from now on is lost.`
    this.#report('error', message, loggingErrors.error('read_failed', { message, cause }))
  }

  #report(level: 'warning' | 'error', message: string, error?: unknown): void {
    const { diagnostics, subject } = this.#options
    diagnostics({
      level,
      source: 'logging',
      message,
      ...(error === undefined ? {} : { error }),
      ...(subject === undefined ? {} : { subject }),
    })
  }
}
