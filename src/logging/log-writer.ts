import { setTimeout as sleep } from 'node:timers/promises'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { LogEntry, LogSink } from '../driver-kit/log-driver.ts'
import type { EntryBatch } from './recent-entries.ts'

const retryMs = 100
/** How long the end of a container waits for a sink that refuses entries, a full disk for instance. */
const patienceMs = 2000
/** Batches are put together up to this size for one call of the sink. */
const writeBytes = 256 << 10

export interface LogWriterOptions {
  readonly sink: LogSink
  readonly diagnostics: DiagnosticsSink
  readonly subject: string | undefined
  /** After each accepted (or given up) call: its newest sequence number, and what still waits. */
  onStored(last: number): void
}

/**
 * Hands batches to the sink, in order, one call at a time. A sink that refuses a batch gets it again until it takes it:
 * meanwhile the container waits at its full pipe and nothing is lost. Only when the container has ended and the sink
 * goes on refusing does the writer give up, and says how many entries that cost.
 */
export class LogWriter {
  readonly #options: LogWriterOptions
  #queue: EntryBatch[] = []
  #queuedBytes = 0
  #running: Promise<void> | null = null
  /** From then on the writer has no more patience than `patienceMs`. */
  #endsAt = Number.POSITIVE_INFINITY
  #lost = 0
  #refused = false

  constructor(options: LogWriterOptions) {
    this.#options = options
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get lost(): number {
    return this.#lost
  }

  add(batch: EntryBatch): void {
    this.#queue.push(batch)
    this.#queuedBytes += batch.bytes
    this.#running ??= this.#run()
  }

  /** Writes what waits and flushes the sink. Never rejects. */
  async finish(): Promise<void> {
    this.#endsAt = performance.now() + patienceMs
    await this.#running
    try {
      await this.#options.sink.flush()
    } catch (error) {
      this.#report('error', 'The log could not be flushed; its newest lines may be missing.', error)
    }
  }

  async #run(): Promise<void> {
    // Waiting until the present turn is over lets batches that come together be written together.
    await Promise.resolve()
    while (this.#queue.length > 0) {
      const batches = this.#take()
      const entries = batches.length === 1 ? batches[0]!.entries : batches.flatMap((batch) => batch.entries)
      await this.#write(entries)
      for (const batch of batches) this.#queuedBytes -= batch.bytes
      this.#options.onStored(batches.at(-1)!.last)
    }
    this.#running = null
  }

  #take(): readonly EntryBatch[] {
    let bytes = 0
    let count = 0
    while (count < this.#queue.length && bytes < writeBytes) bytes += this.#queue[count++]!.bytes
    return this.#queue.splice(0, count)
  }

  async #write(entries: readonly LogEntry[]): Promise<void> {
    for (;;) {
      try {
        await this.#options.sink.write(entries)
        if (this.#refused) this.#report('info', 'The log takes entries again.')
        this.#refused = false
        return
      } catch (error) {
        if (!this.#refused)
          this.#report('error', 'The log refused entries; the container waits until it takes them.', error)
        this.#refused = true
        if (performance.now() >= this.#endsAt) {
          this.#lost += entries.length
          this.#report('error', `${entries.length} log entries are lost: the log refused them until the end.`, error)
          return
        }
        await sleep(retryMs)
      }
    }
  }

  #report(level: 'info' | 'error', message: string, error?: unknown): void {
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
