/** How much of a stream its peer has room for. */
export class OutputWindow {
  #bytes: number
  #closed = false
  #wake: () => void = () => {}

  constructor(bytes: number) {
    this.#bytes = bytes
  }

  /** The peer has taken as much. */
  widen(bytes: number): void {
    this.#bytes += bytes
    this.#wake()
  }

  /** Nobody takes anything any more. */
  close(): void {
    this.#closed = true
    this.#wake()
  }

  /** Waits for room; the part of `bytes` for which there is some, null after the close. */
  async admit(bytes: Uint8Array): Promise<Uint8Array | null> {
    while (this.#bytes <= 0 && !this.#closed)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    if (this.#closed) return null
    const part = bytes.subarray(0, this.#bytes)
    this.#bytes -= part.length
    return part
  }
}
