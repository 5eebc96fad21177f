import type { Readable } from 'node:stream'
import type { EngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { answerError } from './answer-error.ts'
import type { Authorizer, Scope } from './authorizer.ts'
import type { Endpoint } from './endpoint.ts'
import { asRetryable, retrying } from './retry.ts'
import { type Answer, isStream, type Request, type Transport } from './transport.ts'

export interface EndpointRequest {
  readonly method: Request['method']
  /** Below the endpoint's base, or whole. */
  readonly path: string | URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Readable | Uint8Array | undefined
  readonly scope: Scope
  /** Statuses that are no errors. */
  readonly expected: readonly number[]
  /** What is being done, for messages. */
  readonly what: string
}

export interface EndpointRequestsInit {
  readonly endpoint: Endpoint
  readonly transport: Transport
  readonly authorizer: Authorizer
  /** How often a request is tried in all. */
  readonly attempts: number
}

/** Requests to one endpoint: authenticated when it asks for that, and told as typed errors when it says no. */
export class EndpointRequests {
  readonly #init: EndpointRequestsInit

  constructor(init: EndpointRequestsInit) {
    this.#init = init
  }

  get endpoint(): Endpoint {
    return this.#init.endpoint
  }

  get attempts(): number {
    return this.#init.attempts
  }

  /** With retries. */
  ask(request: EndpointRequest, call?: CallOptions): Promise<Answer> {
    return retrying(request.what, () => this.once(request, call), { attempts: this.attempts, ...call })
  }

  /** One attempt; any other status than the expected ones is an error. */
  async once(request: EndpointRequest, call?: CallOptions): Promise<Answer> {
    const { endpoint, transport, authorizer } = this.#init
    const { what, scope, expected } = request
    const url = request.path instanceof URL ? request.path : new URL(request.path, endpoint.base.href)
    const send = (authorization: string | null) => {
      // What the registry itself answers elsewhere with does not need our secret.
      const own = authorization !== null && isOwn(url, endpoint)
      const headers = { ...request.headers, ...(own ? { authorization } : {}) }
      return transport.send({ endpoint, url, method: request.method, headers, body: request.body, ...call })
    }
    const known = await authorizer.header(scope, call)
    let answer = await send(known)
    // Another host that a redirect led to has no business with credentials for this one, nor a token service for them.
    if (answer.status === 401 && isOwn(answer.url, endpoint)) {
      answer.discard()
      const header = await authorizer.afterRefusal(answer, known, scope, call)
      // A body that was read cannot be sent again: whoever made it makes it again, and the token is there then.
      if (isStream(request.body)) throw asRetryable(await authorizer.refusal())
      answer = await send(header)
      if (answer.status === 401) {
        answer.discard()
        throw await authorizer.refusal()
      }
    }
    if (expected.includes(answer.status)) return answer
    throw await answerError(answer, what, endpoint.registry, (text) => authorizer.scrub(text))
  }

  /** The error of an answer that makes no sense. */
  bad(what: string, problem: string): EngineError {
    const { registry } = this.endpoint
    return registryErrors.error('bad_answer', {
      message: `${what}: ${registry} ${problem}.`,
      subject: { type: 'registry', id: registry },
      details: { registry },
    })
  }
}

/** Whether a secret for the endpoint may be sent there: never in the clear, unless all of it may be. */
const isOwn = (url: URL, { base, insecure }: Endpoint): boolean =>
  url.host === base.host && (url.protocol === base.protocol || insecure)
