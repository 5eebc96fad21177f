/** Places of the two flags, in memory that both threads see. */
const asked = 0
const working = 1

/** How long the end of the process waits for a thread to come to rest, at most: one may hang in a call to a dead disk. */
export const exitWaitMs = 5000

/**
 * How a thread that makes system calls is ended: it is asked to, and comes to rest by itself. Neither `terminate` nor the
 * end of the process may meet it at work: where koffi cannot throw because its thread is being terminated, it ends the
 * process instead. Both sides make one of the same memory.
 */
export class ThreadStop {
  /** To be sent to the other side. */
  readonly shared: Int32Array<SharedArrayBuffer>

  constructor(shared: Int32Array<SharedArrayBuffer> = new Int32Array(new SharedArrayBuffer(8))) {
    this.shared = shared
  }

  ask(): void {
    Atomics.store(this.shared, asked, 1)
  }

  get asked(): boolean {
    return Atomics.load(this.shared, asked) === 1
  }

  /** For the thread, between two steps of its work. @throws when it has been asked to stop */
  readonly check = (): void => {
    if (this.asked) throw new Error('The thread was asked to stop.')
  }

  /** For the thread: the time in which it makes system calls. Null when it is to make none, having been asked before. */
  begin(): Disposable | null {
    // In this order, as the other side asks first and looks then: one of the two notices.
    Atomics.store(this.shared, working, 1)
    if (!this.asked) return { [Symbol.dispose]: () => this.#rest() }
    this.#rest()
    return null
  }

  #rest(): void {
    Atomics.store(this.shared, working, 0)
    Atomics.notify(this.shared, working)
  }

  /** Blocks the calling thread until the other one rests; for the end of the process, where nothing else can be done. */
  waitForRest(mostMs: number): void {
    Atomics.wait(this.shared, working, 1, mostMs)
  }
}
