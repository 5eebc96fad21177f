import { Readable } from 'node:stream'
import type { EngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'

/** Ends a request when nothing has come for too long. */
export interface StallWatch {
  /** Fires on a stall and for the caller's signal. */
  readonly signal: AbortSignal
  /** Set once it has stalled. */
  readonly failure: EngineError | null
  /** Something came, or is waited for from now on. */
  alive(): void
  /** Nothing is waited for. */
  pause(): void
  /** The same bytes; each piece that is sent is a sign of life. */
  sending(body: Readable): Readable
  /** The request is over. */
  end(): void
}

export function withoutStalls(
  stallMs: number,
  host: string,
  registry: string,
  signal: AbortSignal | undefined,
): StallWatch {
  const controller = new AbortController()
  let failure: EngineError | null = null
  const onAbort = () => controller.abort(signal?.reason)
  const stalled = () => {
    failure = registryErrors.error('stalled', {
      message: `${host} sent nothing for ${stallMs} ms.`,
      subject: { type: 'registry', id: registry },
      details: { registry, host, stallMs },
      retryable: true,
    })
    controller.abort(failure)
  }
  let timer = setTimeout(stalled, stallMs)
  const alive = () => {
    clearTimeout(timer)
    timer = setTimeout(stalled, stallMs)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  return {
    signal: controller.signal,
    get failure() {
      return failure
    },
    alive,
    pause: () => clearTimeout(timer),
    sending: (body) =>
      Readable.from(
        (async function* () {
          for await (const chunk of body) {
            alive()
            yield chunk as Uint8Array
          }
        })(),
        { objectMode: false },
      ),
    end() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    },
  }
}
