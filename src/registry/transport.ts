import type { Agent } from 'node:http'
import type { Readable } from 'node:stream'
import nodeFetch, { type Response as FetchedResponse } from 'node-fetch'
import { abortError } from '../errors/call-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { Agents } from './agents.ts'
import { connectionFailure, speaksNoTls } from './connection-failure.ts'
import type { Endpoint } from './endpoint.ts'
import { withoutStalls } from './stall-watch.ts'
import { safeLocation } from './without-secrets.ts'

export interface Request extends CallOptions {
  readonly endpoint: Endpoint
  /** Resolved against the endpoint's base. */
  readonly url: URL
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Readable | Uint8Array | undefined
}

export interface Answer {
  readonly status: number
  header(name: string): string | null
  /** Where the answer came from, after redirects. */
  readonly url: URL
  /** Fails with `registry.stalled` when nothing comes for too long. Leaving it early closes the connection. */
  readonly body: AsyncIterable<Uint8Array>
  /**
   * The whole body, of a document. @throws `registry.too_large` above `maxBytes`, `registry.stalled` also when it comes
   * but takes four times as long as a pause may
   */
  bytes(maxBytes: number): Promise<Buffer>
  /** Takes no more of the body. */
  discard(): void
}

const redirects = new Set([301, 302, 303, 307, 308])
const MOST_REDIRECTS = 5
/** What nobody wants of an answer is taken for the connection's sake, up to here. */
const MOST_DRAINED_BYTES = 64 << 10
const MOST_DRAIN_MS = 5_000
/** A server that sends a byte now and then never stalls, and its document would never be whole. */
const DOCUMENT_PAUSES = 4

/** HTTP for registries; the one file that knows the HTTP library. */
export class Transport implements Disposable {
  readonly #agents = new Agents()
  readonly #stallMs: number
  /** Hosts that were found to speak plain HTTP, of those that may. */
  readonly #plain = new Set<string>()
  /** Hosts that have answered over TLS: a connection that breaks is no reason to ask them in the clear. */
  readonly #secure = new Set<string>()

  constructor(options: { readonly stallMs: number }) {
    this.#stallMs = options.stallMs
  }

  /** Sends a request and follows redirects of reads; secrets do not go along to another host. */
  async send(request: Request): Promise<Answer> {
    let { url } = request
    let headers: Readonly<Record<string, string>> = { 'user-agent': 'tscontainer', ...request.headers }
    for (let count = 0; ; count++) {
      const answer = await this.#once({ ...request, url, headers })
      const reading = request.method === 'GET' || request.method === 'HEAD'
      if (!reading || !redirects.has(answer.status)) return answer
      answer.discard()
      const next = this.#redirect(answer, request.endpoint, count)
      // Also when only the port or the scheme differs. A signed address of a storage service refuses a second secret.
      if (next.origin !== answer.url.origin) headers = withoutSecrets(headers)
      url = next
    }
  }

  #redirect(answer: Answer, endpoint: Endpoint, count: number): URL {
    const location = answer.header('location')
    const next =
      location !== null && URL.canParse(location, answer.url.href) ? new URL(location, answer.url.href) : null
    const problem =
      next === null
        ? `to ${location === null ? 'nowhere' : JSON.stringify(safeLocation(location))}`
        : !/^https?:$/.test(next.protocol)
          ? `to an address of the kind ${next.protocol}`
          : next.username !== '' || next.password !== ''
            ? `to an address of ${next.host} with a user name in it`
            : next.protocol === 'http:' && answer.url.protocol === 'https:' && !endpoint.insecure
              ? 'from HTTPS to plain HTTP'
              : count >= MOST_REDIRECTS
                ? `more than ${MOST_REDIRECTS} times`
                : null
    if (next && problem === null) return next
    throw registryErrors.error('bad_redirect', {
      message: `${answer.url.host} redirected ${problem}, which is not followed.`,
      subject: { type: 'registry', id: endpoint.registry },
      details: { registry: endpoint.registry, host: answer.url.host },
    })
  }

  async #once(request: Request): Promise<Answer> {
    const { endpoint } = request
    const url = new URL(request.url.href)
    if (this.#plain.has(url.host)) url.protocol = 'http:'
    try {
      const answer = await this.#fetch({ ...request, url })
      if (url.protocol === 'https:') this.#secure.add(url.host)
      return answer
    } catch (error) {
      const cause = isEngineError(error) ? error.cause : error
      // The registry's own host only: a redirect says itself what is spoken there.
      const isOwn = url.protocol === 'https:' && url.host === endpoint.base.host
      const may = endpoint.insecure && isOwn && !this.#secure.has(url.host)
      if (!may || isStream(request.body) || !(speaksNoTls(cause) || refusedPort(cause))) throw error
      url.protocol = 'http:'
      const answer = await this.#fetch({ ...request, url })
      this.#plain.add(url.host)
      return answer
    }
  }

  async #fetch(request: Request): Promise<Answer> {
    const { url, method, headers, body, endpoint, signal } = request
    throwIfAborted(request, `The request to ${url.host}`)
    const watch = withoutStalls(this.#stallMs, url.host, endpoint.registry, signal)
    let response: FetchedResponse
    try {
      response = await nodeFetch(url, {
        method,
        headers: { ...headers },
        body: body === undefined ? null : body instanceof Uint8Array ? Buffer.from(body) : watch.sending(body),
        redirect: 'manual',
        // Layers are stored as they are sent.
        compress: false,
        signal: watch.signal,
        agent: this.#agents.agentFor(url, endpoint) as Agent,
      })
    } catch (error) {
      watch.end()
      if (signal?.aborted) throw abortError(signal, `The request to ${url.host}`)
      throw watch.failure ?? connectionFailure(error, url, endpoint.registry)
    }
    const stream = response.body as Readable | null
    const fail = (error: unknown) =>
      signal?.aborted
        ? abortError(signal, `The request to ${url.host}`)
        : (watch.failure ?? connectionFailure(error, url, endpoint.registry))
    async function* chunks(): AsyncGenerator<Uint8Array> {
      try {
        if (stream)
          for await (const chunk of stream) {
            // Whoever takes it may be slow.
            watch.pause()
            yield chunk as Uint8Array
            watch.alive()
          }
      } catch (error) {
        throw fail(error)
      } finally {
        watch.end()
        stream?.destroy()
      }
    }
    return {
      status: response.status,
      header: (name) => response.headers.get(name),
      url,
      body: chunks(),
      bytes: (maxBytes) => {
        const limits = { maxBytes, maxMs: DOCUMENT_PAUSES * this.#stallMs }
        return collect(chunks(), limits, url.host, endpoint.registry)
      },
      discard: () => {
        watch.end()
        if (stream) drain(stream)
      },
    }
  }

  [Symbol.dispose](): void {
    this.#agents[Symbol.dispose]()
  }
}

/** Small answers are read to their end, so that the connection can be used again; others are left. */
function drain(stream: Readable): void {
  const timer = setTimeout(() => stream.destroy(), MOST_DRAIN_MS).unref()
  let bytes = 0
  stream
    .on('error', () => {})
    .on('close', () => clearTimeout(timer))
    .on('data', (chunk: Uint8Array) => {
      bytes += chunk.length
      if (bytes > MOST_DRAINED_BYTES) stream.destroy()
    })
}

/** Such a body cannot be sent again. */
export const isStream = (body: Readable | Uint8Array | undefined): body is Readable =>
  body !== undefined && !(body instanceof Uint8Array)

const refusedPort = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET')

function withoutSecrets(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !/^(authorization|cookie)$/i.test(name)))
}

async function collect(
  chunks: AsyncIterable<Uint8Array>,
  { maxBytes, maxMs }: { readonly maxBytes: number; readonly maxMs: number },
  host: string,
  registry: string,
): Promise<Buffer> {
  const parts: Uint8Array[] = []
  const end = performance.now() + maxMs
  let length = 0
  const subject = { type: 'registry', id: registry }
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > maxBytes)
      throw registryErrors.error('too_large', {
        message: `The answer of ${host} is larger than ${maxBytes} bytes.`,
        subject,
        details: { registry, host, maxBytes },
      })
    if (performance.now() > end)
      throw registryErrors.error('stalled', {
        message: `${host} has sent only ${length} bytes of a document in ${maxMs} ms.`,
        subject,
        details: { registry, host, maxMs },
        retryable: true,
      })
    parts.push(chunk)
  }
  return Buffer.concat(parts, length)
}
