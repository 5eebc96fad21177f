import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { jsonFileErrors } from './driver-errors.ts'

/** Docker's name for the file, so that log shippers find it. */
export const logPath = (directory: string, id: string): string => join(directory, `${id}-json.log`)

const newline = 10
const blockBytes = 128 << 10

/** A line of the file. There may be millions, so each is a place in what was read and its bytes are taken when asked for. */
export class FileLine {
  /** Where it begins in the file. */
  readonly offset: number
  /** Its bytes as latin1, each one character, without the newline. */
  readonly text: string
  readonly #block: Buffer
  readonly #from: number

  constructor(offset: number, text: string, block: Buffer, from: number) {
    this.offset = offset
    this.text = text
    this.#block = block
    this.#from = from
  }

  /** Where the next line begins. */
  get next(): number {
    return this.offset + this.text.length + 1
  }

  bytes(start = 0, end = this.text.length): Buffer {
    return this.#block.subarray(this.#from + start, this.#from + end)
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

export function readFailed(path: string, cause: unknown): Error {
  return jsonFileErrors.error('read_failed', {
    message: `Reading the log ${path} failed${cause instanceof Error ? `: ${cause.message}` : ''}. Check the disk below it.`,
    subject: { type: 'log', id: path },
    cause,
  })
}

const lineOf = (block: Buffer, offset: number, from: number, to: number): FileLine =>
  new FileLine(offset + from, block.toString('latin1', from, to), block, from)

/** The bytes of a log file, for reading. */
export class LogFile implements AsyncDisposable {
  readonly path: string
  readonly #handle: FileHandle

  private constructor(path: string, handle: FileHandle) {
    this.path = path
    this.#handle = handle
  }

  /** Null when there is no such file. */
  static async open(path: string): Promise<LogFile | null> {
    try {
      return new LogFile(path, await open(path, 'r'))
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return null
      throw readFailed(path, error)
    }
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  /** Fewer bytes than asked for only at the end of the file. */
  async read(offset: number, length: number): Promise<Buffer> {
    const block = Buffer.allocUnsafe(length)
    try {
      for (let filled = 0; ; ) {
        const { bytesRead } = await this.#handle.read(block, filled, length - filled, offset + filled)
        filled += bytesRead
        if (bytesRead === 0 || filled === length) return block.subarray(0, filled)
      }
    } catch (error) {
      throw readFailed(this.path, error)
    }
  }

  /** The place after the last newline before `end`: what follows is torn, or being written. */
  async completeEnd(end: number): Promise<number> {
    for (let to = end; to > 0; ) {
      const from = Math.max(0, to - blockBytes)
      const at = (await this.read(from, to - from)).lastIndexOf(newline)
      if (at !== -1) return from + at + 1
      to = from
    }
    return 0
  }

  /** Complete lines from `start`, where a line begins, to `end`; some at a time. */
  async *forward(start: number, end: number): AsyncGenerator<FileLine[], void, undefined> {
    let rest: Buffer = Buffer.alloc(0)
    let at = start
    while (at < end) {
      const block = await this.read(at, Math.min(blockBytes, end - at))
      if (block.length === 0) return
      const base = at - rest.length
      const joined = rest.length > 0 ? Buffer.concat([rest, block]) : block
      at += block.length
      const lines: FileLine[] = []
      // Newlines are found in a string because that needs no call out of JavaScript.
      const text = joined.toString('latin1')
      let from = 0
      for (let to = text.indexOf('\n'); to !== -1; to = text.indexOf('\n', from)) {
        lines.push(new FileLine(base + from, text.slice(from, to), joined, from))
        from = to + 1
      }
      rest = joined.subarray(from)
      if (lines.length > 0) yield lines
    }
  }

  /** Complete lines from `end`, where a line begins or the last one ended, back to `start`. */
  async *backward(start: number, end: number): AsyncGenerator<FileLine, void, undefined> {
    let rest: Buffer = Buffer.alloc(0)
    let at = end
    while (at > start) {
      const from = Math.max(start, at - blockBytes)
      const block = await this.read(from, at - from)
      const joined = rest.length > 0 ? Buffer.concat([block, rest]) : block
      let to = joined.length
      // The newline at the very end closes the last line; the one before it opens it.
      for (let before = to < 2 ? -1 : joined.lastIndexOf(newline, to - 2); before !== -1; ) {
        yield lineOf(joined, from, before + 1, to - 1)
        to = before + 1
        before = to < 2 ? -1 : joined.lastIndexOf(newline, to - 2)
      }
      rest = joined.subarray(0, to)
      at = from
    }
    if (rest.length > 0) yield lineOf(rest, start, 0, rest.length - 1)
  }

  async countLines(start: number, end: number): Promise<number> {
    let count = 0
    for (let at = start; at < end; ) {
      const block = await this.read(at, Math.min(blockBytes, end - at))
      if (block.length === 0) break
      const text = block.toString('latin1')
      for (let found = text.indexOf('\n'); found !== -1; found = text.indexOf('\n', found + 1)) count++
      at += block.length
    }
    return count
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}
