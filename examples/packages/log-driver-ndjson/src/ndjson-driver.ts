import type { DiagnosticsSink, LogDriver, LogSink, LogSubject } from 'tscontainer/driver-kit'
import { CollectorConnection } from './collector-connection.ts'
import { NdjsonSink } from './ndjson-sink.ts'
import { parseSinkOptions, type SinkOptions } from './sink-options.ts'

export class NdjsonDriver implements LogDriver {
  readonly name = 'ndjson'
  readonly #diagnostics: DiagnosticsSink

  constructor(diagnostics: DiagnosticsSink) {
    this.#diagnostics = diagnostics
  }

  parseSinkOptions(input: Readonly<Record<string, string>>): SinkOptions {
    return parseSinkOptions(input)
  }

  async openSink(subject: LogSubject, options: SinkOptions): Promise<LogSink> {
    return new NdjsonSink(subject, new CollectorConnection(options), this.#diagnostics)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Sinks are disposed by whoever opened them; the driver itself holds nothing.
  }
}
