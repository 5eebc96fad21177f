import { close, constants, fchmod, ftruncate, open, write } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { DiagnosticsSink, LogEntry, LogQuery, LogSink } from 'tscontainer/driver-kit'
import { jsonFileErrors } from './driver-errors.ts'
import { LineFormatter } from './line-format.ts'
import { LineParser } from './line-parser.ts'
import { LogFile } from './log-file.ts'
import { OutputBuffer } from './output-buffer.ts'
import type { PlainCheck } from './plain-check.ts'
import { formatPosition, Positions, positionSpacing, positionsPath } from './positions.ts'
import { readStored, readStoredBatches, type StoredLog } from './stored-log.ts'

const openFile = promisify(open)
const closeFile = promisify(close)
const changeMode = promisify(fchmod)
const truncateFile = promisify(ftruncate)
const writeFile = promisify(write)

/** What the file holds, after a crash's torn last line has been taken off. */
interface Found {
  readonly size: number
  readonly torn: boolean
  readonly sequence: number
  readonly time: bigint
  readonly positions: Positions
}

async function examine(path: string): Promise<Found> {
  await using file = await LogFile.open(path)
  const size = file ? await file.size() : 0
  if (!file || size === 0) return { size: 0, torn: false, sequence: 0, time: 0n, positions: new Positions() }
  const end = await file.completeEnd(size)
  const torn = end < size
  const positions = await Positions.load(path, end)
  const { sequence } = await positions.ofOffset(file, end)
  const parser = new LineParser()
  for await (const line of file.backward(0, end)) {
    const parsed = parser.parse(line)
    if (parsed) return { size: end, torn, sequence, time: parsed.time, positions }
  }
  return { size: end, torn, sequence, time: 0n, positions }
}

/** Writes one container's log. */
export class JsonFileSink implements LogSink {
  readonly #path: string
  readonly #fd: number
  readonly #formatter: LineFormatter
  readonly #diagnostics: DiagnosticsSink
  readonly #positions: Positions
  readonly #output = new OutputBuffer()
  /** All up to here is whole lines; a failed write may have left something behind it. */
  #size: number
  #sequence: number
  #time: bigint
  #torn = false
  readonly #stored: StoredLog
  #closing: Promise<void> | null = null

  private constructor(path: string, fd: number, found: Found, formatter: LineFormatter, diagnostics: DiagnosticsSink) {
    this.#path = path
    this.#fd = fd
    this.#formatter = formatter
    this.#diagnostics = diagnostics
    this.#positions = found.positions
    this.#size = found.size
    this.#sequence = found.sequence
    this.#time = found.time
    this.#stored = { path, positions: found.positions, end: () => this.#size }
  }

  static async open(
    path: string,
    attributes: Readonly<Record<string, string>>,
    check: PlainCheck,
    diagnostics: DiagnosticsSink,
  ): Promise<JsonFileSink> {
    let fd: number | null = null
    try {
      const found = await examine(path)
      fd = await openFile(path, constants.O_WRONLY | constants.O_CREAT, 0o640)
      if (found.torn) await truncateFile(fd, found.size)
      // Docker's mode, whatever the umask was.
      if (found.size === 0) await changeMode(fd, 0o640)
      return new JsonFileSink(path, fd, found, new LineFormatter(attributes, check), diagnostics)
    } catch (cause) {
      if (fd !== null) await closeFile(fd)
      throw jsonFileErrors.error('open_failed', {
        message: `Opening the log ${path} failed${cause instanceof Error ? `: ${cause.message}` : ''}. Check the disk and the directory's rights.`,
        subject: { type: 'log', id: path },
        cause,
      })
    }
  }

  async write(batch: readonly LogEntry[]): Promise<void> {
    if (batch.length === 0) return
    this.#check()
    this.#formatter.format(batch, this.#output)
    const bytes = this.#output.take()
    try {
      if (this.#torn) await truncateFile(this.#fd, this.#size)
      this.#torn = true
      await this.#writeAll(bytes)
      this.#torn = false
    } catch (cause) {
      // Best effort: the next write, or the next opening, takes the torn part off anyway.
      await truncateFile(this.#fd, this.#size).catch(() => {})
      throw jsonFileErrors.error('write_failed', {
        message: `Writing ${bytes.length} bytes to the log ${this.#path} failed${cause instanceof Error ? `: ${cause.message}` : ''}. Make room on its disk.`,
        subject: { type: 'log', id: this.#path },
        retryable: true,
        cause,
      })
    }
    this.#size += bytes.length
    this.#sequence += batch.length
    this.#time = batch.at(-1)!.time
    if (this.#size - this.#positions.last.offset >= positionSpacing) await this.#notePosition()
  }

  // At the known place and not at the end of the file, so that a retry writes over what a failure left.
  async #writeAll(bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await writeFile(this.#fd, bytes, done, bytes.length - done, this.#size + done)
      done += bytesWritten
    }
  }

  async #notePosition(): Promise<void> {
    const position = { offset: this.#size, sequence: this.#sequence }
    this.#positions.add(position)
    try {
      await appendFile(positionsPath(this.#path), formatPosition(position), { mode: 0o640 })
    } catch (error) {
      this.#diagnostics({
        level: 'warning',
        source: 'log.json-file',
        message: `The index of ${this.#path} could not be written; reading parts of this log will be slower.`,
        error,
        subject: this.#path,
      })
    }
  }

  async flush(): Promise<void> {
    this.#check()
  }

  read(query: LogQuery): AsyncIterable<LogEntry> {
    return readStored(this.#stored, query)
  }

  readBatches(query: LogQuery): AsyncIterable<readonly LogEntry[]> {
    return readStoredBatches(this.#stored, query)
  }

  async lastSequence(): Promise<bigint> {
    return BigInt(this.#sequence)
  }

  async lastTime(): Promise<bigint> {
    return this.#time
  }

  #check(): void {
    if (this.#closing)
      throw jsonFileErrors.error('closed', { message: `The log ${this.#path} was written to after its disposal.` })
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= closeFile(this.#fd)
    return this.#closing
  }
}
