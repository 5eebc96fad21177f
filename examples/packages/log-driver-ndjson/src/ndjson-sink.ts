import { callErrors, type DiagnosticsSink, type LogEntry, type LogSink, type LogSubject } from 'tscontainer/driver-kit'
import type { CollectorConnection } from './collector-connection.ts'

export class NdjsonSink implements LogSink {
  readonly #subject: LogSubject
  readonly #connection: CollectorConnection
  readonly #diagnostics: DiagnosticsSink
  #disposed = false

  constructor(subject: LogSubject, connection: CollectorConnection, diagnostics: DiagnosticsSink) {
    this.#subject = subject
    this.#connection = connection
    this.#diagnostics = diagnostics
  }

  async write(batch: readonly LogEntry[]): Promise<void> {
    if (this.#disposed)
      throw callErrors.error('disposed', {
        message: 'A sink of the log driver ndjson was written to after its disposal.',
      })
    const lost = this.#connection.add(batch.map((entry) => this.#line(entry)))
    if (lost > 0) this.#warn(`${lost} log entries were dropped because the collector is away and the buffer is full`)
    try {
      await this.#connection.send()
    } catch {
      // The collector is away: the entries wait, and the container goes on.
    }
  }

  async flush(): Promise<void> {
    await this.#connection.send()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return
    this.#disposed = true
    try {
      await this.#connection.send()
    } catch (error) {
      this.#warn(`${this.#connection.waiting} log entries were not sent before the end`, error)
    } finally {
      this.#connection.close()
    }
  }

  #line(entry: LogEntry): string {
    const { stream, time, text, sequence } = entry
    const container = { id: this.#subject.containerId, name: this.#subject.containerName }
    return `${JSON.stringify({ container, stream, time: String(time), sequence: String(sequence), text })}\n`
  }

  #warn(message: string, error?: unknown): void {
    this.#diagnostics({ level: 'warning', source: 'log.ndjson', message, error, subject: this.#subject.containerId })
  }
}
