import { randomBytes } from 'node:crypto'
import type { RegistryRequest } from './memory-repository.ts'
import { errorReply, jsonReply } from './memory-repository.ts'
import type { RegistryReply } from './registry-fault.ts'

/** Who may use a `FaultyRegistry`. */
export interface RegistryAuthOptions {
  /** Default `none`. `bearer`: the registry has a token service of its own at `/token`. */
  readonly scheme?: 'none' | 'basic' | 'bearer' | undefined
  /** Passwords by user. */
  readonly users?: Readonly<Record<string, string>> | undefined
  /** Refresh tokens that the token service takes. */
  readonly identityTokens?: readonly string[] | undefined
  /** Where tokens are said to be given. Default: its own service. */
  readonly realm?: string | undefined
  /** How many seconds tokens are said to be good for. Default 300. */
  readonly tokenSeconds?: number | undefined
}

/** Checks who asks, by Basic or by tokens of its own making. */
export class RegistryAuth {
  readonly #options: RegistryAuthOptions
  /** Tokens that are good, with the scopes they were given for. */
  readonly tokens = new Map<string, readonly string[]>()
  /** How many were given out. */
  issued = 0

  constructor(options: RegistryAuthOptions) {
    this.#options = options
  }

  /** Null: go on. */
  refuse({ headers, url, method }: RegistryRequest, host: string): RegistryReply | null {
    const { scheme = 'none', realm = `http://${host}/token` } = this.#options
    const sent = headers['authorization'] ?? ''
    if (scheme === 'none' || (scheme === 'basic' && this.#isUser(sent))) return null
    const needed = neededScope(url.pathname, method)
    if (scheme === 'bearer') {
      const scopes = this.tokens.get(sent.replace(/^Bearer /, ''))
      if (scopes && (needed === null || scopes.some((scope) => covers(scope, needed)))) return null
    }
    const challenge =
      scheme === 'basic'
        ? 'Basic realm="faulty"'
        : `Bearer realm="${realm}",service="faulty"${needed === null ? '' : `,scope="${needed}"`}`
    return errorReply(401, 'UNAUTHORIZED', 'authentication required', { 'www-authenticate': challenge })
  }

  /** The token service: GET with Basic, or an OAuth2 POST with a refresh token. */
  issue({ method, url, headers, body }: RegistryRequest): RegistryReply {
    const form = new URLSearchParams(body.toString())
    const { identityTokens = [], tokenSeconds = 300 } = this.#options
    if (method === 'POST') {
      if (!identityTokens.includes(form.get('refresh_token') ?? '')) return errorReply(401, 'UNAUTHORIZED', 'no')
    } else if (headers['authorization'] !== undefined && !this.#isUser(headers['authorization']))
      return errorReply(401, 'UNAUTHORIZED', 'no such user')
    const scopes = (method === 'POST' ? (form.get('scope') ?? '').split(' ') : url.searchParams.getAll('scope')).filter(
      (scope) => scope !== '',
    )
    // Nobody in particular may read only.
    const isKnown = method === 'POST' || headers['authorization'] !== undefined || !this.#options.users
    const token = `token-${randomBytes(16).toString('hex')}`
    this.tokens.set(token, isKnown ? scopes : [])
    this.issued++
    return jsonReply(200, { token, access_token: token, expires_in: tokenSeconds })
  }

  #isUser(authorization: string): boolean {
    const given = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString()
    return Object.entries(this.#options.users ?? {}).some(([name, password]) => given === `${name}:${password}`)
  }
}

function neededScope(path: string, method: string): string | null {
  if (path === '/v2/_catalog') return 'registry:catalog:*'
  const repository = /^\/v2\/(.+)\/(?:manifests|blobs|tags)\//.exec(path)?.[1]
  if (repository === undefined) return null
  return `repository:${repository}:${method === 'GET' || method === 'HEAD' ? 'pull' : 'push'}`
}

function covers(scope: string, needed: string): boolean {
  const [type, name, actions = ''] = scope.split(':')
  const [wantedType, wantedName, action = ''] = needed.split(':')
  return type === wantedType && name === wantedName && actions.split(',').includes(action)
}
