import { abortError } from '../errors/call-errors.ts'
import { type CallOptions, throwIfAborted } from './call-options.ts'

/** At most `limit` pieces of work at once, in order of arrival. */
export class WorkQueue {
  readonly #limit: number
  #active = 0
  readonly #waiting = new Set<() => void>()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Runs it when its turn has come; an abort before that takes it out of the queue. */
  async run<T>(work: () => Promise<T>, call?: CallOptions, what?: string): Promise<T> {
    throwIfAborted(call, what)
    if (this.#active < this.#limit) this.#active++
    else await this.#turn(call?.signal, what)
    try {
      return await work()
    } finally {
      const [next] = this.#waiting
      if (next) next()
      else this.#active--
    }
  }

  async #turn(signal: AbortSignal | undefined, what: string | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const go = () => {
      this.#waiting.delete(go)
      resolve()
    }
    const leave = () => {
      if (this.#waiting.delete(go)) reject(abortError(signal!, what))
    }
    this.#waiting.add(go)
    signal?.addEventListener('abort', leave, { once: true })
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }
}
