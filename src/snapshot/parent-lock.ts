interface State {
  /** Those that wait or work. */
  readonly users: Set<Promise<unknown>>
  /** The newest removal; never rejects. */
  last: Promise<unknown>
  /** Calls that have not settled. */
  calls: number
}

/**
 * Many users or one remover per key, in order of arrival: drafts are prepared upon a snapshot side by side, but never
 * while it is being removed.
 */
export class ParentLock {
  readonly #keys = new Map<string, State>()

  use<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.#counted(key, (state) => {
      const run = state.last.then(work)
      const user: Promise<unknown> = run.catch(() => {}).finally(() => state.users.delete(user))
      state.users.add(user)
      return run
    })
  }

  remove<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.#counted(key, (state) => {
      const run = Promise.all([state.last, ...state.users]).then(work)
      state.last = run.catch(() => {})
      return run
    })
  }

  /** A key is forgotten when all of its calls have settled. */
  #counted<T>(key: string, begin: (state: State) => Promise<T>): Promise<T> {
    const state = this.#keys.get(key) ?? { users: new Set(), last: Promise.resolve(), calls: 0 }
    this.#keys.set(key, state)
    state.calls++
    return begin(state).finally(() => {
      if (--state.calls === 0) this.#keys.delete(key)
    })
  }
}
