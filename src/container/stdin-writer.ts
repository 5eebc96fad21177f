import { closeSync, write } from 'node:fs'

/** Writes to the pipe that a program reads; later writes wait for earlier ones. */
export class StdinWriter {
  readonly #descriptor: number | null
  readonly #onEnd: (() => void) | undefined
  #tail: Promise<void> = Promise.resolve()
  #closed: boolean
  #abandoned = false

  /** Null where the input has been ended before. `onEnd` is called before the descriptor is closed. */
  constructor(descriptor: number | null, onEnd?: () => void) {
    this.#descriptor = descriptor
    this.#closed = descriptor === null
    this.#onEnd = onEnd
  }

  /** Resolves when the pipe took the bytes. After the end, and when nobody reads any more, they are dropped. */
  write(bytes: Uint8Array): Promise<void> {
    this.#tail = this.#tail.then(() => (this.#closed ? undefined : this.#writeAll(bytes)))
    return this.#tail
  }

  /** The program has ended: what waits for room in the pipe is dropped. */
  abandon(): Promise<void> {
    this.#abandoned = true
    return this.end()
  }

  /** The program reads end of file after what was written before. */
  end(): Promise<void> {
    this.#tail = this.#tail.then(() => {
      if (this.#closed) return
      this.#closed = true
      this.#onEnd?.()
      closeSync(this.#descriptor!)
    })
    return this.#tail
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length && !this.#abandoned; ) {
      try {
        offset += await this.#writeSome(bytes, offset)
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code
        if (code === 'EAGAIN') await new Promise((resolve) => setTimeout(resolve, 5))
        else if (code === 'EPIPE') return
        else throw error
      }
    }
  }

  #writeSome(bytes: Uint8Array, offset: number): Promise<number> {
    return new Promise((resolve, reject) => {
      write(this.#descriptor!, bytes, offset, bytes.length - offset, null, (error, written) =>
        error ? reject(error) : resolve(written),
      )
    })
  }
}
