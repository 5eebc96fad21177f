/** Mutual exclusion per key, in order of arrival. Keys cost nothing while nobody holds them. */
export class KeyedLock<Key> {
  readonly #tails = new Map<Key, Promise<void>>()

  /** Runs `work` while holding `key`. Not re-entrant. */
  async run<T>(key: Key, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    const { promise, resolve } = Promise.withResolvers<void>()
    const tail = before ? before.then(() => promise) : promise
    this.#tails.set(key, tail)
    try {
      if (before) await before
      return await work()
    } finally {
      resolve()
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }
}
