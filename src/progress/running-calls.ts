import { callErrors } from '../errors/call-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { type Operation, type OperationContext, startOperation } from './operation.ts'

/** What a call is given whose caller may have a signal, or none. */
export interface SignalledCall {
  readonly signal: AbortSignal
}

/**
 * The calls that are under way on something that can be disposed. Its end aborts them, and waits until each has undone
 * what it had begun: they reject with `call.disposed`.
 */
export class RunningCalls {
  readonly #ending = new AbortController()
  readonly #running = new Set<Promise<unknown>>()

  /** Runs a call with a signal that fires for the caller's one, and when the end comes. */
  run<T>(call: CallOptions | undefined, work: (call: SignalledCall) => Promise<T>): Promise<T> {
    const running = this.#run(call?.signal, work)
    this.#running.add(running)
    const forget = () => this.#running.delete(running)
    running.then(forget, forget)
    return running
  }

  /** The same for an operation. */
  operation<T>(
    work: (context: OperationContext) => Promise<T>,
    call: CallOptions | undefined,
    what: string,
  ): Operation<T> {
    return startOperation((context) => this.run(context, ({ signal }) => work({ ...context, signal })), call, what)
  }

  /** For what is read bit by bit. Nobody waits for its reader, who may be doing something else. */
  async *iterate<T>(call: CallOptions | undefined, make: (call: SignalledCall) => AsyncIterable<T>): AsyncGenerator<T> {
    using both = this.#either(call?.signal)
    try {
      yield* make(both)
    } catch (error) {
      throw this.#told(error, call?.signal)
    }
  }

  /** For readers that end with their signal, and are too quick for more than that. */
  signal(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.#ending.signal]) : this.#ending.signal
  }

  /** Ends them all. */
  async end(): Promise<void> {
    this.#ending.abort(ended())
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
  }

  async #run<T>(signal: AbortSignal | undefined, work: (call: SignalledCall) => Promise<T>): Promise<T> {
    if (this.#ending.signal.aborted) throw ended()
    using both = this.#either(signal)
    try {
      return await work(both)
    } catch (error) {
      throw this.#told(error, signal)
    }
  }

  // Calls are many, and what AbortSignal.any makes for one stays known to the engine's signal for a while.
  #either(signal: AbortSignal | undefined): SignalledCall & Disposable {
    const controller = new AbortController()
    const sources = [this.#ending.signal, ...(signal ? [signal] : [])]
    const listeners = sources.map((source) => {
      const forward = () => controller.abort(source.reason)
      if (source.aborted) forward()
      else source.addEventListener('abort', forward, { once: true })
      return () => source.removeEventListener('abort', forward)
    })
    return {
      signal: controller.signal,
      [Symbol.dispose]() {
        for (const leave of listeners) leave()
      },
    }
  }

  #told(error: unknown, signal: AbortSignal | undefined): unknown {
    const byEnd = this.#ending.signal.aborted && !signal?.aborted && isEngineError(error, { code: 'call.aborted' })
    return byEnd ? ended(error) : error
  }
}

const ended = (cause?: unknown) =>
  callErrors.error('disposed', {
    message: 'The engine was disposed while the call was under way; what it had begun is undone. Open another one.',
    ...(cause !== undefined && { cause }),
  })
