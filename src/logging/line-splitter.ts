import { isAscii } from 'node:buffer'
import type { LogStream, PartialMark } from '../driver-kit/log-driver.ts'
import { type Chunk, ChunkEntry } from './chunk-entry.ts'

/** Hands out sequence numbers; shared by the splitters of one container. */
export interface Numbering {
  /** Of the next entry. */
  next: number
}

const newline = 10

/**
 * Cuts one stream into entries at newlines. A line that reaches `maxBytes` without its newline is cut there, so that a
 * line of exactly the limit ends with an empty piece: as Docker's copier does (daemon/logger/copier.go).
 */
export class LineSplitter {
  readonly #stream: LogStream
  readonly #maxBytes: number
  readonly #numbering: Numbering
  /** The beginning of a line whose end has not been read. */
  #carry: Buffer[] = []
  #carried = 0
  #approximate = false
  /** The mark of the piece before, while a line is being cut. */
  #open: PartialMark | null = null

  constructor(stream: LogStream, maxBytes: number, numbering: Numbering) {
    this.#stream = stream
    this.#maxBytes = maxBytes
    this.#numbering = numbering
  }

  /** Goes on with a line whose pieces so far another process stored. */
  continueLine(piece: PartialMark): void {
    this.#open = piece
  }

  /** What was read of the current line and is in no entry yet. */
  get pending(): Uint8Array {
    return this.#carry.length === 1 ? this.#carry[0]! : Buffer.concat(this.#carry, this.#carried)
  }

  get pendingBytes(): number {
    return this.#carried
  }

  push(bytes: Buffer, time: bigint, approximate: boolean): ChunkEntry[] {
    const entries: ChunkEntry[] = []
    const max = this.#maxBytes
    let at = this.#carried > 0 ? this.#finishCarried(bytes, time, approximate, entries) : 0
    if (at === bytes.length) return entries
    // Newlines are found in a string because that needs no call out of JavaScript; latin1 keeps every byte's place.
    const text = bytes.toString('latin1')
    const ascii = isAscii(bytes) ? text : null
    const chunk: Chunk = { stream: this.#stream, time, bytes, ascii, approximate }
    for (let end = text.indexOf('\n', at); end !== -1; end = text.indexOf('\n', at)) {
      for (; end - at >= max; at += max) entries.push(this.#piece(chunk, at, at + max, false))
      entries.push(this.#open === null ? this.#line(chunk, at, end) : this.#piece(chunk, at, end, true))
      at = end + 1
    }
    for (; bytes.length - at >= max; at += max) entries.push(this.#piece(chunk, at, at + max, false))
    if (at < bytes.length) this.#keep(bytes.subarray(at), approximate)
    return entries
  }

  /** At the end of the stream: what has no newline becomes a piece that no other follows. */
  end(time: bigint): ChunkEntry[] {
    if (this.#carried === 0) {
      this.#open = null
      return []
    }
    const chunk = this.#carriedChunk(this.pending, time, this.#approximate)
    const piece = this.#piece(chunk, 0, chunk.bytes.length, false)
    this.#forget()
    this.#open = null
    return [piece]
  }

  /** Takes what belongs to the carried line off the front of `bytes`; gives the place after it. */
  #finishCarried(bytes: Buffer, time: bigint, approximate: boolean, entries: ChunkEntry[]): number {
    const room = this.#maxBytes - this.#carried
    const end = bytes.subarray(0, room).indexOf(newline)
    if (end === -1 && bytes.length < room) {
      this.#keep(bytes, approximate)
      return bytes.length
    }
    const upTo = end === -1 ? room : end
    const whole = Buffer.concat([...this.#carry, bytes.subarray(0, upTo)], this.#carried + upTo)
    const chunk = this.#carriedChunk(whole, time, approximate)
    if (end === -1) entries.push(this.#piece(chunk, 0, whole.length, false))
    else
      entries.push(this.#open === null ? this.#line(chunk, 0, whole.length) : this.#piece(chunk, 0, whole.length, true))
    this.#forget()
    return end === -1 ? upTo : upTo + 1
  }

  #carriedChunk(view: Uint8Array, time: bigint, approximate: boolean): Chunk {
    const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength)
    const ascii = isAscii(bytes) ? bytes.toString('latin1') : null
    return { stream: this.#stream, time, bytes, ascii, approximate }
  }

  #keep(bytes: Buffer, approximate: boolean): void {
    this.#carry.push(bytes)
    this.#carried += bytes.length
    this.#approximate = approximate
  }

  #forget(): void {
    this.#carry = []
    this.#carried = 0
  }

  #line(chunk: Chunk, start: number, end: number): ChunkEntry {
    return new ChunkEntry(chunk, start, end, this.#numbering.next++, null)
  }

  #piece(chunk: Chunk, start: number, end: number, last: boolean): ChunkEntry {
    const number = this.#numbering.next++
    const before = this.#open
    const partial = { id: before?.id ?? `${number}`, ordinal: (before?.ordinal ?? 0) + 1, last }
    this.#open = last ? null : partial
    return new ChunkEntry(chunk, start, end, number, partial)
  }
}
