import type { MessagePort } from 'node:worker_threads'

/** What a thread that reads a file is told while the file grows. */
export interface GrowthMessage {
  /** Bytes of it that are there. */
  readonly available: number
}

/** How much of a file that is still being written can be read, as another thread tells. */
export class GrowingInput {
  #available = 0
  #wake = () => {}

  constructor(port: MessagePort) {
    port.on('message', ({ available }: GrowthMessage) => {
      this.#available = Math.max(this.#available, available)
      this.#wake()
    })
  }

  /** Waits until there are at least so many bytes. */
  async reaches(bytes: number): Promise<void> {
    while (this.#available < bytes)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
  }

  /** Bytes that can be read now. */
  get available(): number {
    return this.#available
  }
}
