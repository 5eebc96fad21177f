/**
 * Many users or one remover per key, in order of arrival: drafts are prepared upon a snapshot side by side, but never
 * while it is being removed.
 */
export class ParentLock {
  readonly #keys = new Map<string, { users: Promise<unknown>[]; last: Promise<unknown> }>()

  use<T>(key: string, work: () => Promise<T>): Promise<T> {
    const state = this.#state(key)
    const run = state.last.then(work, work)
    state.users.push(run.catch(() => {}))
    return this.#settled(key, run)
  }

  remove<T>(key: string, work: () => Promise<T>): Promise<T> {
    const state = this.#state(key)
    const run = Promise.all([state.last, ...state.users]).then(work)
    state.users = []
    state.last = run.catch(() => {})
    return this.#settled(key, run)
  }

  #state(key: string) {
    let state = this.#keys.get(key)
    if (!state) {
      state = { users: [], last: Promise.resolve() }
      this.#keys.set(key, state)
    }
    return state
  }

  // A key is forgotten when the last of its calls has settled.
  #settled<T>(key: string, run: Promise<T>): Promise<T> {
    const state = this.#state(key)
    const mine = { users: state.users, last: state.last, length: state.users.length }
    const forget = () => {
      const now = this.#keys.get(key)
      if (now && now.users === mine.users && now.last === mine.last && now.users.length === mine.length)
        this.#keys.delete(key)
    }
    return run.finally(forget)
  }
}
