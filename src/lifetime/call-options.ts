import { abortError } from '../errors/call-errors.ts'

/** The last parameter of every call that can take long. */
export interface CallOptions {
  /** Ends the call: it rejects with an `AbortError` after what it had begun is undone. */
  readonly signal?: AbortSignal | undefined
}

/** Throws the `AbortError` when the call's signal has already fired. */
export function throwIfAborted(call: CallOptions | undefined, what?: string): void {
  if (call?.signal?.aborted) throw abortError(call.signal, what)
}

/** Settles like `work`, or rejects as soon as the signal fires; `work` itself goes on unless it looks at the signal. */
export async function raceAbort<T>(work: Promise<T>, signal: AbortSignal | undefined, what?: string): Promise<T> {
  if (!signal) return work
  if (signal.aborted) {
    work.catch(() => {})
    throw abortError(signal, what)
  }
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(abortError(signal, what))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    work.catch(() => {})
  }
}
