import type { FileHandle } from 'node:fs/promises'
import { type CallOptions, raceAbort, throwIfAborted } from '../lifetime/call-options.ts'

/** Bytes of a tar in order, for the reader of its headers. */
export interface TarInput {
  readonly offset: number
  /** Fewer bytes than asked for only at the end. */
  read(length: number): Promise<Buffer>
  /** False when the input ends before. */
  skip(length: number): Promise<boolean>
}

const window = 64 << 10

/** A tar file: skipping costs nothing. */
export class TarFileInput implements TarInput {
  readonly #handle: FileHandle
  readonly #size: number
  readonly #call: CallOptions
  #cache: Buffer = Buffer.alloc(0)
  #cacheAt = 0
  offset = 0

  constructor(handle: FileHandle, size: number, call: CallOptions) {
    this.#handle = handle
    this.#size = size
    this.#call = call
  }

  async read(length: number): Promise<Buffer> {
    throwIfAborted(this.#call, 'Reading the archive')
    const within = this.offset - this.#cacheAt
    if (within < 0 || within + length > this.#cache.length) {
      const buffer = Buffer.alloc(Math.max(length, window))
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await this.#handle.read(buffer, filled, buffer.length - filled, this.offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      this.#cache = buffer.subarray(0, filled)
      this.#cacheAt = this.offset
    }
    const start = this.offset - this.#cacheAt
    const bytes = this.#cache.subarray(start, start + length)
    this.offset += bytes.length
    return bytes
  }

  async skip(length: number): Promise<boolean> {
    this.offset += length
    return this.offset <= this.#size
  }
}

/** A tar that comes as a stream. Bodies can be taken as chunks. */
export class TarStreamInput implements TarInput {
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #call: CallOptions
  #rest: Uint8Array = new Uint8Array()
  offset = 0

  constructor(source: AsyncIterable<Uint8Array>, call: CallOptions) {
    this.#chunks = source[Symbol.asyncIterator]()
    this.#call = call
  }

  async read(length: number): Promise<Buffer> {
    const parts: Uint8Array[] = []
    for await (const part of this.chunks(length)) parts.push(part)
    return parts.length === 1
      ? Buffer.from(parts[0]!.buffer, parts[0]!.byteOffset, parts[0]!.length)
      : Buffer.concat(parts)
  }

  async skip(length: number): Promise<boolean> {
    let left = length
    for await (const part of this.chunks(length)) left -= part.length
    return left === 0
  }

  /** The next `length` bytes; fewer only when the stream ends. */
  async *chunks(length: number): AsyncGenerator<Uint8Array> {
    let left = length
    while (left > 0) {
      if (this.#rest.length === 0) {
        const next = await raceAbort(this.#chunks.next(), this.#call.signal, 'Reading the archive')
        if (next.done) return
        this.#rest = next.value
        continue
      }
      const part = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(part.length)
      left -= part.length
      this.offset += part.length
      yield part
    }
  }

  /**
   * Reads to the end, so that the writer of a pipe is not cut off and checksums of compressors are seen. `onBytes` may
   * throw to stop a stream without end.
   */
  async drain(onBytes: (bytes: number) => void): Promise<void> {
    for await (const chunk of this.chunks(Number.POSITIVE_INFINITY)) onBytes(chunk.length)
  }

  /** Leaves the source. */
  close(): void {
    Promise.resolve(this.#chunks.return?.()).catch(() => {})
  }
}
