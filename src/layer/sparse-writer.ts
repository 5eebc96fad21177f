import { writeSync } from 'node:fs'
import type { SparseExtent } from './tar-entry.ts'

const block = 64 << 10
const zeros = Buffer.alloc(block)

/** Writes a file's data where it belongs; long runs of zeros become holes. */
export class SparseWriter {
  readonly #fd: number
  readonly #extents: readonly SparseExtent[] | null
  #extent = 0
  #inExtent = 0
  #at = 0
  /** The last bytes were skipped: only a truncate gives the file its size. */
  endsInHole = false

  constructor(fd: number, extents: readonly SparseExtent[] | null) {
    this.#fd = fd
    this.#extents = extents
  }

  write(chunk: Buffer): void {
    if (!this.#extents) return this.#put(chunk)
    for (let rest = chunk; rest.length > 0; ) {
      const extent = this.#extents[this.#extent]
      if (!extent) return
      this.#at = extent.offset + this.#inExtent
      const used = Math.min(rest.length, extent.length - this.#inExtent)
      this.#put(rest.subarray(0, used))
      this.#inExtent += used
      if (this.#inExtent === extent.length) {
        this.#extent++
        this.#inExtent = 0
      }
      rest = rest.subarray(used)
    }
  }

  /** Where the data ends. */
  finish(): number {
    return this.#at
  }

  #put(bytes: Buffer): void {
    let start = 0
    for (let at = 0; at < bytes.length; at += block) {
      const piece = bytes.subarray(at, at + block)
      if (piece.length < block || !piece.equals(zeros)) continue
      this.#writeAll(bytes.subarray(start, at))
      this.#at += block
      this.endsInHole = true
      start = at + block
    }
    this.#writeAll(bytes.subarray(start))
  }

  #writeAll(bytes: Buffer): void {
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#at + done)
    this.#at += bytes.length
    if (bytes.length > 0) this.endsInHole = false
  }
}
