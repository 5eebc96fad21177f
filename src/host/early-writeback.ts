import { startWriteback, startWritebackAsync } from './syscall/file.ts'

/** Small enough that the disk is busy soon, large enough that its requests are. */
const step = 8 << 20

/**
 * Lets the disk work on a file while the rest of it is still being made, so that the fsync at its end finds little left.
 * For files that are written from their beginning on.
 */
export class EarlyWriteback {
  readonly #fd: number
  #begun = 0
  #running: Promise<void> | null = null

  constructor(fd: number) {
    this.#fd = fd
  }

  /** The file has `size` bytes now. Returns at once. */
  grown(size: number): void {
    if (this.#running || size - this.#begun < step) return
    this.#running = startWritebackAsync(this.#fd, this.#begun, size - this.#begun).finally(() => {
      this.#running = null
    })
    this.#running.catch(() => {})
    this.#begun = size
  }

  /** The same for a thread that may wait. */
  grownSync(size: number): void {
    if (size - this.#begun < step) return
    startWriteback(this.#fd, this.#begun, size - this.#begun)
    this.#begun = size
  }

  /** Before the descriptor is closed. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => {})
  }
}
