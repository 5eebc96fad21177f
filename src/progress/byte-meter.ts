import type { ProgressSink } from './progress-event.ts'

/** Counts bytes of one item and reports them at most every `interval` bytes (default 1 MiB) and at the end. */
export class ByteMeter {
  #done = 0
  #reported = 0
  readonly #report: ProgressSink
  readonly #item: string
  readonly #total: number | null
  readonly #interval: number

  constructor(report: ProgressSink, item: string, total: number | null, interval = 1 << 20) {
    this.#report = report
    this.#item = item
    this.#total = total
    this.#interval = interval
  }

  get done(): number {
    return this.#done
  }

  add(bytes: number): void {
    this.#done += bytes
    if (this.#done - this.#reported >= this.#interval) this.flush()
  }

  /** So many in all; fewer than before when the work begins anew. */
  set(done: number): void {
    const restarted = done < this.#done
    this.#done = done
    if (restarted || done - this.#reported >= this.#interval) this.flush()
  }

  flush(): void {
    this.#reported = this.#done
    this.#report({ type: 'bytes', item: this.#item, done: this.#done, total: this.#total })
  }
}
