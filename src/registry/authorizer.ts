import type { EngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import { type CallOptions, raceAbort } from '../lifetime/call-options.ts'
import { SingleFlight } from '../lifetime/single-flight.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import type { Endpoint } from './endpoint.ts'
import type { RegistryCredentials } from './registry-options.ts'
import { parseRetryAfter } from './retry.ts'
import type { Answer, Transport } from './transport.ts'
import { safeLocation } from './without-secrets.ts'

/** What is to be allowed: `repository:library/busybox:pull`; several with spaces between; empty: who asks is all. Source: distribution, token scope documentation. */
export type Scope = string

interface Token {
  readonly value: string
  /** On the clock of `performance.now()`. */
  readonly until: number
}

/** Sent by old services, and meant by the specification when they send none. */
const DEFAULT_LIFE_S = 60
/** A token that ends meanwhile is refused half-way through. */
const MARGIN_MS = 5_000
const MOST_TOKEN_BYTES = 1 << 20

/**
 * Proves to one endpoint who asks: nothing until it wants something, then Basic, or a bearer token that its token
 * service gives for the scope. Tokens are kept and shared by all requests of the process to it.
 */
export class Authorizer {
  readonly #endpoint: Endpoint
  readonly #transport: Transport
  readonly #find: () => Promise<RegistryCredentials | null>
  #found: Promise<RegistryCredentials | null> | null = null
  readonly #tokens = new Map<Scope, Token>()
  readonly #asking = new SingleFlight<Scope, string>()
  #challenge: Challenge | null = null
  /** Everything that may not be shown, in the forms in which it was sent. */
  readonly #secrets = new Set<string>()

  constructor(endpoint: Endpoint, transport: Transport, find: () => Promise<RegistryCredentials | null>) {
    this.#endpoint = endpoint
    this.#transport = transport
    this.#find = find
  }

  /** The header for a request, as far as is known; null: without. */
  async header(scope: Scope, call?: CallOptions): Promise<string | null> {
    if (!this.#challenge) return null
    return this.#answer(this.#challenge, scope, call)
  }

  /** The header that a 401 asks for. @throws `registry.unauthorized` when there is nothing more to say */
  async afterRefusal(refusal: Answer, sent: string | null, scope: Scope, call?: CallOptions): Promise<string> {
    const offered = parseChallenges(refusal.header('www-authenticate') ?? '')
    const challenge =
      offered.find(({ scheme }) => scheme === 'bearer') ?? offered.find(({ scheme }) => scheme === 'basic')
    if (!challenge) throw this.#unauthorized('offers no way to authenticate that is known here')
    this.#challenge = challenge
    // Somebody may have logged in meanwhile.
    if (sent !== null) this.#found = null
    // It may have ended, or been for less.
    if (sent?.startsWith('Bearer ') && this.#tokens.get(scope)?.value === sent.slice(7)) this.#tokens.delete(scope)
    const header = await this.#answer(challenge, scope, call)
    if (header === null || header === sent) throw await this.refusal()
    return header
  }

  /** The error of a refusal that nothing more can be said to. */
  async refusal(): Promise<EngineError> {
    return this.#unauthorized(await this.#whoAsked())
  }

  /** Takes the secrets that were sent out of a text: some servers repeat them. */
  scrub(text: string): string {
    let clean = text
    for (const secret of this.#secrets) clean = clean.replaceAll(secret, '...')
    return clean
  }

  /** Looked up once, until they are refused: a helper is a program to run. */
  #credentials(): Promise<RegistryCredentials | null> {
    this.#found ??= this.#find().then(
      (credentials) => {
        for (const secret of secretsOf(credentials)) this.#secrets.add(secret)
        return credentials
      },
      (error: unknown) => {
        this.#found = null
        throw error
      },
    )
    return this.#found
  }

  async #whoAsked(): Promise<string> {
    const credentials = await this.#credentials()
    if (!credentials) return 'wants credentials, and there are none for it'
    return 'username' in credentials ? `refused the credentials of ${credentials.username}` : 'refused the token'
  }

  async #answer(challenge: Challenge, scope: Scope, call?: CallOptions): Promise<string | null> {
    const what = `Authentication at ${this.#endpoint.registry}`
    if (challenge.scheme === 'basic') {
      const credentials = await raceAbort(this.#credentials(), call?.signal, what)
      return credentials && 'username' in credentials ? basic(credentials) : null
    }
    const token = this.#tokens.get(scope)
    if (token && token.until > performance.now()) return `Bearer ${token.value}`
    // Shared by all who wait for it: nobody's signal ends it for the others.
    const asking = this.#asking.run(scope, () => this.#askToken(challenge, scope))
    return `Bearer ${await raceAbort(asking, call?.signal, what)}`
  }

  async #askToken(challenge: Challenge, scope: Scope): Promise<string> {
    const credentials = await this.#credentials()
    if (credentials && 'registryToken' in credentials) return credentials.registryToken
    const { realm = '', service } = challenge.parameters
    const url = URL.canParse(realm) ? new URL(realm) : null
    // Credentials go there: not in the clear, unless the registry itself may be asked so.
    if (!url || !(url.protocol === 'https:' || (url.protocol === 'http:' && this.#endpoint.insecure)))
      throw registryErrors.error('bad_answer', {
        message: `${this.#endpoint.registry} sends for tokens to ${JSON.stringify(safeLocation(realm))}, which is no HTTPS address.`,
        subject: { type: 'registry', id: this.#endpoint.registry },
        details: { registry: this.#endpoint.registry },
      })
    const answer = await (credentials && 'identityToken' in credentials
      ? this.#exchange(url, service, scope, credentials.identityToken)
      : this.#fetchToken(url, service, scope, credentials))
    const text = (await answer.bytes(MOST_TOKEN_BYTES)).toString()
    if (answer.status === 401 || answer.status === 403 || answer.status === 400)
      throw this.#unauthorized(await this.#whoAsked())
    if (answer.status === 429) throw this.#tooOften(url, answer)
    if (answer.status !== 200) throw this.#noToken(url, `answered with ${answer.status}`, answer.status >= 500)
    return this.#keep(scope, url, text)
  }

  #fetchToken(
    realm: URL,
    service: string | undefined,
    scope: Scope,
    credentials: RegistryCredentials | null,
  ): Promise<Answer> {
    const url = new URL(realm.href)
    if (service !== undefined) url.searchParams.set('service', service)
    for (const part of scope.split(' ')) if (part !== '') url.searchParams.append('scope', part)
    const known = credentials && 'username' in credentials ? credentials : null
    if (known) url.searchParams.set('account', known.username)
    const headers: Record<string, string> = known ? { authorization: basic(known) } : {}
    return this.#transport.send({ endpoint: this.#endpoint, url, method: 'GET', headers })
  }

  /** Source: distribution, "Docker Registry v2 OAuth2 token authentication". */
  #exchange(url: URL, service: string | undefined, scope: Scope, identityToken: string): Promise<Answer> {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: 'tscontainer',
      refresh_token: identityToken,
      scope,
      ...(service === undefined ? {} : { service }),
    })
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const body = Buffer.from(form.toString())
    return this.#transport.send({ endpoint: this.#endpoint, url, method: 'POST', headers, body })
  }

  #keep(scope: Scope, url: URL, text: string): string {
    let said: unknown
    try {
      said = JSON.parse(text)
    } catch {
      throw this.#noToken(url, 'answered with something else than JSON', false)
    }
    const { token, access_token: other, expires_in: life } = (said ?? {}) as Record<string, unknown>
    const value = typeof token === 'string' && token !== '' ? token : other
    if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) throw this.#noToken(url, 'gave no token', false)
    this.#secrets.add(value)
    const seconds = typeof life === 'number' && life > 0 ? Math.min(life, 86_400) : DEFAULT_LIFE_S
    this.#tokens.set(scope, { value, until: performance.now() + seconds * 1000 - MARGIN_MS })
    return value
  }

  #tooOften(url: URL, answer: Answer) {
    const { registry } = this.#endpoint
    const retryAfterMs = parseRetryAfter(answer.header('retry-after'), Date.now())
    return registryErrors.error('rate_limited', {
      message: `The token service ${url.host} of ${registry} gives no more tokens for now. ${registryErrors.codes.rate_limited.help}`,
      subject: { type: 'registry', id: registry },
      details: { registry, host: url.host, status: 429, ...(retryAfterMs === null ? {} : { retryAfterMs }) },
      retryable: true,
    })
  }

  #noToken(url: URL, problem: string, retryable: boolean) {
    return registryErrors.error(retryable ? 'server_error' : 'bad_answer', {
      message: `The token service ${url.host} of ${this.#endpoint.registry} ${problem}.`,
      subject: { type: 'registry', id: this.#endpoint.registry },
      details: { registry: this.#endpoint.registry, host: url.host },
      retryable,
    })
  }

  #unauthorized(problem: string) {
    return registryErrors.error('unauthorized', {
      message: `${this.#endpoint.registry} ${problem}. ${registryErrors.codes.unauthorized.help}`,
      subject: { type: 'registry', id: this.#endpoint.registry },
      details: { registry: this.#endpoint.registry },
    })
  }
}

const basic = ({ username, password }: { readonly username: string; readonly password: string }): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

function secretsOf(credentials: RegistryCredentials | null): readonly string[] {
  if (!credentials) return []
  if ('identityToken' in credentials) return [credentials.identityToken]
  if ('registryToken' in credentials) return [credentials.registryToken]
  return [credentials.password, basic(credentials).slice('Basic '.length)].filter((secret) => secret !== '')
}
