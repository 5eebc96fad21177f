import { setTimeout as sleep } from 'node:timers/promises'
import { abortError } from '../errors/call-errors.ts'
import { downloadErrors } from '../errors/download-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Endpoint } from './endpoint.ts'
import type { Answer, Transport } from './transport.ts'
import { safeAddress, safeLocation } from './without-secrets.ts'

/** A server that breaks off after each byte is not to be asked for ever. */
const LEAST_PROGRESS = 16 << 10

export interface DownloadInit {
  readonly endpoint: Endpoint
  readonly transport: Transport
  readonly attempts: number
}

/** Reads an address that somebody gave as a source of bytes. @throws `download.bad_url` */
export function parseDownloadUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url
  const shown = safeLocation(text)
  throw downloadErrors.error('bad_url', {
    message: `"${shown}" is not fetched. ${downloadErrors.codes.bad_url.help}`,
    subject: { type: 'url', id: shown },
  })
}

/**
 * The bytes behind an address. A connection that breaks is made again, from where it broke: only when the server says
 * that it is still the same file.
 *
 * @throws `download.*`, `registry.unreachable`, `registry.tls`, `registry.stalled`, `registry.bad_redirect`
 */
export async function* download(url: URL, init: DownloadInit, call: CallOptions = {}): AsyncGenerator<Uint8Array> {
  const { endpoint, transport, attempts } = init
  let offset = 0
  let before = 0
  let version: string | null = null
  for (let failures = 0; ; ) {
    try {
      const resumed = { range: `bytes=${offset}-`, 'if-range': version ?? '' }
      const headers = offset > 0 ? resumed : {}
      const answer = await transport.send({ endpoint, url, method: 'GET', headers, ...call })
      checkAnswer(answer, url, offset)
      version = versionOf(answer)
      for await (const chunk of answer.body) {
        offset += chunk.length
        yield chunk
      }
      return
    } catch (error) {
      failures = offset >= before + LEAST_PROGRESS ? 1 : failures + 1
      before = offset
      const mayGoOn = isEngineError(error) && error.retryable && (offset === 0 || version !== null)
      if (!mayGoOn || failures >= attempts) throw error
      await sleep(Math.min(10_000, 250 * 2 ** (failures - 1)), undefined, { signal: call.signal }).catch(() => {})
      if (call.signal?.aborted) throw abortError(call.signal, `Fetching ${safeAddress(url)}`)
    }
  }
}

/** What a range may be asked of. Source: RFC 9110, 13.1.5: weak tags are no good there. */
function versionOf(answer: Answer): string | null {
  const tag = answer.header('etag')
  return tag !== null && !tag.startsWith('W/') ? tag : answer.header('last-modified')
}

function checkAnswer(answer: Answer, url: URL, offset: number): void {
  const { status } = answer
  const start = /^bytes (\d+)-/.exec(answer.header('content-range') ?? '')?.[1]
  if (offset === 0 ? status === 200 : status === 206 && Number(start) === offset) return
  answer.discard()
  const address = safeAddress(url)
  const reason =
    status === 404 || status === 410 ? 'not_found' : status === 401 || status === 403 ? 'refused' : 'failed'
  const problem =
    offset > 0 && status < 300
      ? `the connection broke after ${offset} bytes, and the server sends no rest of it`
      : `${answer.url.host} answered with ${status}`
  throw downloadErrors.error(reason, {
    message: `Fetching ${address} failed: ${problem}. ${downloadErrors.codes[reason].help}`,
    subject: { type: 'url', id: address },
    details: { status },
    retryable: status === 429 || status >= 500,
  })
}
