import type { LogEntry } from '../driver-kit/log-driver.ts'
import { abortError } from '../errors/call-errors.ts'

/** Entries in batches, as fast as they are asked for. */
export interface BatchSource {
  /** The next batch, which may be empty; null at the end. One call at a time. */
  next(): Promise<readonly LogEntry[] | null>
  /** Frees what the source holds; a pending `next` settles soon after. */
  close(): void | Promise<void>
}

/**
 * The entries of a source one by one. Written by hand because an async generator costs several times as much per entry,
 * and there may be a million of them a second.
 */
class BatchIterator implements AsyncIterableIterator<LogEntry, undefined> {
  readonly #source: BatchSource
  readonly #signal: AbortSignal | undefined
  readonly #onAbort = () => this.#interrupt?.(this.#abortError())
  /** Rejects the wait for the source that is going on. */
  #interrupt: ((error: Error) => void) | null = null
  #batch: readonly LogEntry[] = []
  #at = 0
  #done = false
  /** Calls to `next` that did not wait for the one before run one after another. */
  #fetching: Promise<unknown> | null = null

  constructor(source: BatchSource, signal: AbortSignal | undefined) {
    this.#source = source
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<LogEntry, undefined>> {
    if (this.#fetching === null && this.#at < this.#batch.length && !this.#signal?.aborted)
      return Promise.resolve({ done: false, value: this.#batch[this.#at++]! })
    const fetched = this.#fetching ? this.#fetching.then(() => this.#fetch()) : this.#fetch()
    const leave = () => {
      if (this.#fetching === settled) this.#fetching = null
    }
    const settled: Promise<unknown> = fetched.then(leave, leave)
    this.#fetching = settled
    return fetched
  }

  async #fetch(): Promise<IteratorResult<LogEntry, undefined>> {
    try {
      while (!this.#done) {
        if (this.#signal?.aborted) throw this.#abortError()
        if (this.#at < this.#batch.length) return { done: false, value: this.#batch[this.#at++]! }
        const batch = await this.#nextBatch()
        if (batch === null) await this.#finish()
        else {
          this.#batch = batch
          this.#at = 0
        }
      }
      return { done: true, value: undefined }
    } catch (error) {
      await this.#finish()
      throw error
    }
  }

  // Not Promise.race with a promise for the signal: that would gather one reaction per batch for as long as it lives.
  #nextBatch(): Promise<readonly LogEntry[] | null> {
    if (!this.#signal) return this.#source.next()
    return new Promise((resolve, reject) => {
      this.#interrupt = reject
      this.#source.next().then(resolve, reject)
    })
  }

  #abortError(): Error {
    return abortError(this.#signal!, 'Reading the log')
  }

  async return(): Promise<IteratorResult<LogEntry, undefined>> {
    await this.#finish()
    return { done: true, value: undefined }
  }

  async #finish(): Promise<void> {
    if (this.#done) return
    this.#done = true
    this.#batch = []
    this.#signal?.removeEventListener('abort', this.#onAbort)
    await this.#source.close()
  }
}

/** `open` is called once per loop, when it asks for its first entry. */
export function iterateBatches(open: () => BatchSource, signal?: AbortSignal): AsyncIterable<LogEntry> {
  return { [Symbol.asyncIterator]: () => new BatchIterator(open(), signal) }
}
