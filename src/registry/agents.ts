import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { createSecureContext, getCACertificates } from 'node:tls'
import { HttpProxyAgent } from 'http-proxy-agent'
import { HttpsProxyAgent } from 'https-proxy-agent'
import { getProxyForUrl } from 'proxy-from-env'
import { type Endpoint, isLoopback } from './endpoint.ts'

/** Connections are kept for so many parallel blobs and some more. */
const sockets = { keepAlive: true, maxSockets: 16, maxFreeSockets: 16, scheduling: 'lifo' } as const

type TlsFacts = Pick<Endpoint, 'insecure' | 'ca' | 'clientCertificate'>

/** Keeps connections open between requests: one agent per kind of target, made when first used. */
export class Agents implements Disposable {
  readonly #made = new Map<string, HttpAgent>()

  /** Through the proxies that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name, as curl reads them. */
  agentFor(url: URL, tls: TlsFacts): HttpAgent {
    // Loopback goes past the proxy, as in Go's programs.
    const proxy = isLoopback(url.host) ? '' : getProxyForUrl(url.href)
    const key = [url.protocol, proxy, tls.insecure, tls.ca, tls.clientCertificate?.cert].join('|')
    const known = this.#made.get(key)
    if (known) return known
    const options = { ...sockets, ...(url.protocol === 'https:' ? tlsOptions(tls) : {}) }
    const agent =
      proxy === ''
        ? url.protocol === 'https:'
          ? new HttpsAgent(options)
          : new HttpAgent(options)
        : url.protocol === 'https:'
          ? new HttpsProxyAgent(proxy, options)
          : new HttpProxyAgent(proxy, options)
    this.#made.set(key, agent as HttpAgent)
    return agent as HttpAgent
  }

  [Symbol.dispose](): void {
    for (const agent of this.#made.values()) agent.destroy()
    this.#made.clear()
  }
}

function tlsOptions({ insecure, ca, clientCertificate }: TlsFacts) {
  const rejectUnauthorized = !insecure
  if (ca === null) return { rejectUnauthorized, ...clientCertificate }
  // Given alone it would replace Node's list, and storage that a registry redirects to has a certificate of that. Made
  // once: reading so many certificates for each connection would be slow.
  const secureContext = createSecureContext({ ca: [...getCACertificates('default'), ca], ...clientCertificate })
  return { rejectUnauthorized, secureContext }
}
