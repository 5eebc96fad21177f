import { setTimeout as sleep } from 'node:timers/promises'
import { abortError } from '../errors/call-errors.ts'
import { EngineError, isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'

export interface RetryOptions extends CallOptions {
  /** How often it is tried in all. */
  readonly attempts: number
  /** The first pause, in ms; each further one is twice as long, up to 10 s, and anything from half to the whole of it. */
  readonly pauseMs?: number
  /** Whether the last attempt got further than the one before: then it counts as the first again. */
  readonly progressed?: () => boolean
}

const LONGEST_PAUSE_MS = 10_000
/** A registry that wants more patience than this gets none. */
const LONGEST_RETRY_AFTER_MS = 60_000

/** Failures that were retried as often as they may be: who retries the work around it does not begin anew. */
const exhausted = new WeakSet<EngineError>()

/** Tries again what failed with a retryable error; waits as long as the registry asked for. */
export async function retrying<T>(what: string, work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { attempts, signal, pauseMs = 250, progressed = () => false } = options
  for (let failures = 0; ; ) {
    throwIfAborted(options, what)
    try {
      return await work()
    } catch (error) {
      if (!isEngineError(error) || !error.retryable || exhausted.has(error)) throw error
      failures = progressed() ? 1 : failures + 1
      const asked = error.details['retryAfterMs']
      if (failures >= attempts || (typeof asked === 'number' && asked > LONGEST_RETRY_AFTER_MS)) {
        // Its own object: others may have the same failure, and attempts left.
        const last = asRetryable(error)
        exhausted.add(last)
        throw last
      }
      const most = Math.min(LONGEST_PAUSE_MS, pauseMs * 2 ** (failures - 1))
      const own = most * (0.5 + Math.random() / 2)
      const pause = typeof asked === 'number' ? Math.max(asked, own) : own
      try {
        await sleep(pause, undefined, { signal })
      } catch (aborted) {
        throw signal?.aborted ? abortError(signal, what) : aborted
      }
    }
  }
}

/** `Retry-After` in ms: seconds or a date; null when there is none or it makes no sense. Source: RFC 9110, 10.2.3. */
export function parseRetryAfter(header: string | null, now: number): number | null {
  if (header === null) return null
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}

/** The same error, of a request that is worth another attempt in spite of its kind. */
export const asRetryable = (error: EngineError): EngineError =>
  new EngineError({
    kind: error.kind,
    code: error.code,
    message: error.message,
    subject: error.subject ?? undefined,
    details: error.details,
    cause: error.cause,
    retryable: true,
  })
