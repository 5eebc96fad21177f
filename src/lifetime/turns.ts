/**
 * Shares the event loop among calls that run at the same time: each turn of the loop begins one piece of work of a
 * millisecond or so, and whatever else the application has to do is done between two of them. A hundred containers
 * started at once would else stop the loop for as long as their work takes together.
 */
export class Turns {
  #taken = false
  readonly #waiting: (() => void)[] = []

  /** To be awaited before a piece of work. At once when no other piece has begun in this turn; in order of arrival. */
  next(): Promise<void> | undefined {
    if (this.#taken) return new Promise((resolve) => this.#waiting.push(resolve))
    this.#taken = true
    setImmediate(() => this.#pass())
    return undefined
  }

  #pass(): void {
    const next = this.#waiting.shift()
    if (!next) {
      this.#taken = false
      return
    }
    next()
    setImmediate(() => this.#pass())
  }
}
