import { rm } from 'node:fs/promises'
import type { DiagnosticsSink, LogDriver, LogReader, LogSink, LogSubject } from 'tscontainer/driver-kit'
import { logPath } from './log-file.ts'
import { JsonFileSink } from './log-sink.ts'
import { type JsonFileOptions, parseJsonFileOptions } from './options.ts'
import { PlainCheck } from './plain-check.ts'
import { positionsPath } from './positions.ts'
import { JsonFileReader } from './stored-log.ts'

/** The labels and variables that a log's options name, as far as the container has them. */
function attributesOf(subject: LogSubject, options: JsonFileOptions): Readonly<Record<string, string>> {
  const attributes: Record<string, string> = {}
  for (const name of options.labels) if (Object.hasOwn(subject.labels, name)) attributes[name] = subject.labels[name]!
  for (const name of options.env) if (Object.hasOwn(subject.env, name)) attributes[name] = subject.env[name]!
  return attributes
}

/**
 * Keeps each container's log in a file in Docker's format, `<directory>/<id>-json.log`. Accepted entries survive the
 * death of this process, not that of the machine. A line that is not UTF-8 has U+FFFD in `log`, as Docker writes it, and
 * a further member `raw` with its bytes in base64, so that reading it back gives what was written.
 */
export class JsonFileDriver implements LogDriver {
  readonly name = 'json-file'
  readonly #diagnostics: DiagnosticsSink
  readonly #check = new PlainCheck()

  constructor(diagnostics: DiagnosticsSink) {
    this.#diagnostics = diagnostics
  }

  parseSinkOptions(input: Readonly<Record<string, string>>): JsonFileOptions {
    return parseJsonFileOptions(input)
  }

  openSink(subject: LogSubject, options: unknown): Promise<LogSink> {
    const attributes = attributesOf(subject, options as JsonFileOptions)
    return JsonFileSink.open(
      logPath(subject.directory, subject.containerId),
      attributes,
      this.#check,
      this.#diagnostics,
    )
  }

  async openReader(subject: Pick<LogSubject, 'containerId' | 'directory'>): Promise<LogReader> {
    return new JsonFileReader(logPath(subject.directory, subject.containerId))
  }

  async removeLog(subject: Pick<LogSubject, 'containerId' | 'directory'>): Promise<void> {
    const path = logPath(subject.directory, subject.containerId)
    await rm(path, { force: true })
    await rm(positionsPath(path), { force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
