import type { MessagePort } from 'node:worker_threads'

/** What a thread that reads a file is told while the file grows. */
export interface GrowthMessage {
  /** Bytes of it that are there. */
  readonly available: number
}

/** How much of a file that is still being written can be read, as another thread tells. */
export class GrowingInput {
  readonly #check: () => void
  #available = 0
  #wake = () => {}

  /** `check` throws when it is not to be waited any longer; a message of any number brings it about. */
  constructor(port: MessagePort, check: () => void) {
    this.#check = check
    port.on('message', ({ available }: GrowthMessage) => {
      this.#available = Math.max(this.#available, available)
      this.#wake()
    })
  }

  /** Waits until there are at least so many bytes. */
  async reaches(bytes: number): Promise<void> {
    while (this.#available < bytes) {
      this.#check()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Bytes that can be read now. */
  get available(): number {
    return this.#available
  }
}
