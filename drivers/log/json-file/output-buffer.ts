/** Memory kept between batches whatever their size. */
const smallBytes = 16 << 10

/**
 * Where a batch becomes bytes. Its memory serves one batch after another: fresh memory costs more than all that is done
 * with it.
 */
export class OutputBuffer {
  #bytes: Buffer = Buffer.alloc(0)
  #length = 0

  /** Text that is ASCII. */
  ascii(text: string): void {
    this.#reserve(text.length)
    this.#length += this.#bytes.write(text, this.#length, 'latin1')
  }

  text(text: string): void {
    this.#reserve(Buffer.byteLength(text))
    this.#length += this.#bytes.write(text, this.#length, 'utf8')
  }

  /** All since the last `take`; valid until something is added. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length)
    if (this.#bytes.length > smallBytes + 8 * this.#length) this.#bytes = Buffer.alloc(0)
    this.#length = 0
    return taken
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#length + more))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}
