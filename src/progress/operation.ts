import { abortError } from '../errors/call-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { ProgressEvent, ProgressSink } from './progress-event.ts'

/**
 * Long work: awaitable for its result, iterable for its progress, ended by `abort()` or the caller's signal. It settles
 * only after it has cleaned up after itself. A reader that lags gets byte counts merged and never slows the work.
 */
export interface Operation<T> extends Promise<T>, AsyncIterable<ProgressEvent> {
  /** Like the signal of the call; the reason becomes the error's cause. */
  abort(reason?: unknown): void
}

export interface OperationContext {
  readonly signal: AbortSignal
  readonly report: ProgressSink
}

class RunningOperation<T> extends Promise<T> implements Operation<T> {
  #controller: AbortController | null = null
  #events: ProgressEvent[] = []
  #wake: (() => void) | null = null
  #finished = false
  #lastBytes = new Map<string, number>()

  // Promises derived by then() are plain ones: only the operation itself has progress.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  attach(controller: AbortController): void {
    this.#controller = controller
  }

  report(event: ProgressEvent): void {
    if (this.#finished) return
    if (event.type === 'bytes') {
      const at = this.#lastBytes.get(event.item)
      if (at !== undefined && this.#events[at]?.type === 'bytes') {
        this.#events[at] = event
        return
      }
      this.#lastBytes.set(event.item, this.#events.length)
    }
    this.#events.push(event)
    this.#wake?.()
  }

  finish(): void {
    this.#finished = true
    this.#wake?.()
  }

  /** Like the signal of the call; the reason becomes the error's cause. */
  abort(reason?: unknown): void {
    this.#controller?.abort(reason)
  }

  async *[Symbol.asyncIterator](): AsyncIterator<ProgressEvent> {
    while (true) {
      const events = this.#events
      this.#events = []
      this.#lastBytes.clear()
      yield* events
      if (this.#events.length > 0) continue
      if (this.#finished) break
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = null
    }
    // Surfaces the failure to somebody who only iterates.
    await this
  }
}

/** Starts `work` and gives it back as an operation. The signal handed to it fires for the caller's one and `abort()`. */
export function startOperation<T>(
  work: (context: OperationContext) => Promise<T>,
  call?: CallOptions,
  what = 'The operation',
): Operation<T> {
  const controller = new AbortController()
  const outer = call?.signal
  const forward = () => controller.abort(outer?.reason)
  if (outer?.aborted) forward()
  else outer?.addEventListener('abort', forward, { once: true })

  let settle!: { resolve: (value: T) => void; reject: (reason: unknown) => void }
  const operation = new RunningOperation<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  operation.attach(controller)
  const run = async () => {
    if (controller.signal.aborted) throw abortError(controller.signal, what)
    return work({ signal: controller.signal, report: (event) => operation.report(event) })
  }
  run()
    .finally(() => outer?.removeEventListener('abort', forward))
    .then(settle.resolve, settle.reject)
    .finally(() => operation.finish())
  return operation
}
