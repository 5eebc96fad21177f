import type { LogEntry, LogStream, PartialMark } from '../driver-kit/log-driver.ts'

/** Bytes that were read at once, and what all lines in them have in common. */
export interface Chunk {
  readonly stream: LogStream
  readonly time: bigint
  readonly bytes: Buffer
  /** The bytes as text when they are ASCII; then lines are slices of it that cost no decoding. */
  readonly ascii: string | null
  readonly approximate: boolean
}

/**
 * An entry as a range of a chunk. There is one per line of output, so it computes what it is asked for instead of
 * holding it.
 */
export class ChunkEntry implements LogEntry {
  readonly partial: PartialMark | null
  readonly #chunk: Chunk
  readonly #start: number
  readonly #end: number
  readonly #number: number

  constructor(chunk: Chunk, start: number, end: number, number: number, partial: PartialMark | null) {
    this.partial = partial
    this.#chunk = chunk
    this.#start = start
    this.#end = end
    this.#number = number
  }

  get stream(): LogStream {
    return this.#chunk.stream
  }

  get time(): bigint {
    return this.#chunk.time
  }

  get text(): string {
    const { ascii, bytes } = this.#chunk
    return ascii === null ? bytes.toString('utf8', this.#start, this.#end) : ascii.substring(this.#start, this.#end)
  }

  get bytes(): Uint8Array {
    return this.#chunk.bytes.subarray(this.#start, this.#end)
  }

  get sequence(): bigint {
    return BigInt(this.#number)
  }

  get timeIsApproximate(): boolean | undefined {
    return this.#chunk.approximate || undefined
  }

  /** Its fields as plain data, for `JSON.stringify`, `console.log` and comparisons. */
  toJSON(): { stream: LogStream; time: string; text: string; partial: PartialMark | null; sequence: string } {
    const { stream, text, partial } = this
    return { stream, time: String(this.time), text, partial, sequence: String(this.sequence) }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): object {
    const { stream, time, text, partial, sequence } = this
    return { stream, time, text, partial, sequence }
  }
}
