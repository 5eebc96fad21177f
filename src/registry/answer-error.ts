import type { EngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import { rateLimitOf } from './rate-limit.ts'
import { parseRetryAfter } from './retry.ts'
import type { Answer } from './transport.ts'

const MOST_ERROR_BYTES = 64 << 10

/** The error of an answer that says no; with the registry's own words, from which `scrub` takes our secrets. */
export async function answerError(
  answer: Answer,
  what: string,
  registry: string,
  scrub: (text: string) => string,
): Promise<EngineError> {
  const { status } = answer
  const words = scrub(await wordsOf(answer)).replace(/\b(Basic|Bearer) [\w.~+/=-]{8,}/gi, '$1 ...')
  const rateLimit = rateLimitOf(answer)
  const reason = reasonOf(status)
  const retryAfterMs = parseRetryAfter(answer.header('retry-after'), Date.now())
  return registryErrors.error(reason, {
    message: `${what} failed: ${answer.url.host} answered with ${status}${words === '' ? '' : ` (${words})`}. ${registryErrors.codes[reason].help}`,
    subject: { type: 'registry', id: registry },
    details: {
      registry,
      host: answer.url.host,
      status,
      ...(retryAfterMs === null ? {} : { retryAfterMs }),
      ...(rateLimit === null ? {} : { rateLimit }),
    },
    retryable: status === 408 || status === 429 || status >= 500,
  })
}

function reasonOf(status: number) {
  if (status === 401) return 'unauthorized'
  if (status === 403) return 'denied'
  if (status === 404) return 'not_found'
  if (status === 429) return 'rate_limited'
  if (status >= 500 || status === 408) return 'server_error'
  return status >= 400 ? 'refused_request' : 'bad_answer'
}

/** Code and message of the first errors of the answer. Source: distribution-spec, "Error Codes". */
async function wordsOf(answer: Answer): Promise<string> {
  let said: unknown
  try {
    said = JSON.parse((await answer.bytes(MOST_ERROR_BYTES)).toString())
  } catch {
    return ''
  }
  const errors = (said as { readonly errors?: unknown } | null)?.errors
  if (!Array.isArray(errors)) return ''
  return (
    errors
      .slice(0, 3)
      .map((error: unknown) => {
        const { code, message } = (error ?? {}) as Record<string, unknown>
        return [code, message].filter((part) => typeof part === 'string' && part !== '').join(': ')
      })
      .join('; ')
      // Into one line of a message, whatever it holds.
      .replace(/[^\x20-\x7e]+/g, ' ')
      .slice(0, 500)
  )
}
