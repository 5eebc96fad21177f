import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { Descriptor } from '../../oci/descriptor.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { type MemoryImage, type MemoryImageOptions, makeImage } from './memory-image.ts'
import { errorReply, jsonReply, MemoryRepository, type RegistryRequest } from './memory-repository.ts'
import { RegistryAuth, type RegistryAuthOptions } from './registry-auth.ts'
import { type RegistryFault, type RegistryReply, type RegistryRequestKind, sendReply } from './registry-fault.ts'

/** A request as a `FaultyRegistry` saw it. */
export interface SeenRequest {
  readonly kind: RegistryRequestKind
  readonly method: string
  /** Path and query. */
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Bytes of its body that came. */
  readonly bodyBytes: number
}

/** How to start a `FaultyRegistry`. */
export interface FaultyRegistryOptions {
  readonly auth?: RegistryAuthOptions | undefined
  /** PEM texts, for HTTPS; `ca` and `requestCert` ask clients for a certificate. Default: plain HTTP. */
  readonly tls?: Pick<ServerOptions, 'cert' | 'key' | 'ca' | 'requestCert' | 'rejectUnauthorized'> | undefined
  /** Whether `/v1/search` is there. Default true. */
  readonly search?: boolean | undefined
  /** Whether `/v2/_catalog` is there. Default true. */
  readonly catalog?: boolean | undefined
}

/**
 * A registry in this process, on a port of loopback, that serves images from memory and does wrong what it is told to:
 *
 * ```ts
 * await using registry = await FaultyRegistry.start()
 * registry.addImage('app:v1', { layers: [tar] })
 * registry.fault({ on: 'blob', kind: 'cut', after: 1000, times: 2 })
 * await engine.images.pull(`${registry.host}/app:v1`)
 * ```
 *
 * Its content may be wrong as well: `repository(path).manifests` answers with any bytes to any name.
 */
export class FaultyRegistry implements AsyncDisposable {
  /** `127.0.0.1:<port>` */
  readonly host: string
  /** Everything that was asked, in order. */
  readonly requests: SeenRequest[] = []
  readonly auth: RegistryAuth
  /** Tags and repositories per answer when the client asks for more. */
  pageSize = 1000
  /** What `/v1/search` finds, whatever the term. */
  found: readonly Readonly<Record<string, unknown>>[] = []
  readonly #server: Server
  readonly #options: FaultyRegistryOptions
  readonly #repositories = new Map<string, MemoryRepository>()
  #answering = 0
  #faults: { fault: RegistryFault; left: number }[] = []

  private constructor(server: Server, options: FaultyRegistryOptions) {
    this.#server = server
    this.#options = options
    this.auth = new RegistryAuth(options.auth ?? {})
    const address = server.address()
    if (typeof address !== 'object' || address === null) throw new TypeError('the server does not listen')
    this.host = `127.0.0.1:${address.port}`
  }

  /** Starts it on a free port. Dispose it. */
  static async start(options: FaultyRegistryOptions = {}): Promise<FaultyRegistry> {
    const server = options.tls ? createTlsServer(options.tls) : createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const registry = new FaultyRegistry(server, options)
    server.on('request', (request, response) => {
      registry.#answering++
      response.once('close', () => registry.#answering--)
      registry.#serve(request, response).catch(() => response.destroy())
    })
    return registry
  }

  /** Begins to do something wrong. Of several faults that fit, the first one is met. */
  fault(fault: RegistryFault): void {
    this.#faults.push({ fault, left: fault.times ?? Number.POSITIVE_INFINITY })
  }

  /** Does everything right again, and forgets what was asked. */
  heal(): void {
    this.#faults = []
    this.requests.length = 0
  }

  /** The repository of that path, made when it is not there yet. */
  repository(path: string): MemoryRepository {
    const known = this.#repositories.get(path) ?? new MemoryRepository(path)
    this.#repositories.set(path, known)
    return known
  }

  /** Adds an image as `path[:tag]`; without a tag it is known by its digest. */
  addImage(name: string, image: MemoryImageOptions | MemoryImage = {}): MemoryImage {
    const made = 'blobs' in image ? image : makeImage(image)
    const [path = '', tag] = name.split(':')
    const repository = this.repository(path)
    for (const [digest, bytes] of made.blobs) repository.blobs.set(digest, bytes)
    repository.putManifest(made.bytes, made.manifest.mediaType, tag ?? null)
    return made
  }

  /** Adds an OCI index as `path:tag`, put over with `changes`; gives its digest. */
  addIndex(name: string, manifests: readonly Descriptor[], changes: Readonly<Record<string, unknown>> = {}): string {
    const document = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests, ...changes }
    const [path = '', tag] = name.split(':')
    return this.repository(path).putManifest(Buffer.from(JSON.stringify(document)), mediaTypes.ociIndex, tag ?? null)
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    incoming.on('error', () => {})
    const target = incoming.url ?? '/'
    const url = new URL(target, `http://${this.host}`)
    const kind = kindOf(url.pathname)
    const method = incoming.method ?? 'GET'
    const headers = incoming.headers as Readonly<Record<string, string | undefined>>
    const fault = this.#next(kind, method, target)
    const seen = { kind, method, url: target, headers, bodyBytes: 0 }
    this.requests.push(seen)
    const limit = fault && hasBody(method) && 'after' in fault && fault.kind !== 'short' ? fault.after : null
    const body = await readBody(incoming, limit, (bytes) => {
      seen.bodyBytes = bytes
    })
    if (limit !== null && body.length >= limit && kind === 'upload' && method !== 'POST') {
      // What came so far counts, as with a registry that loses its client.
      this.#uploadOf(url)?.take(body)
      if (fault?.kind === 'stall') return
      if (fault?.kind === 'reset') incoming.socket.resetAndDestroy()
      else incoming.socket.destroy()
      return
    }
    const request: RegistryRequest = { method, url, headers, body }
    const refusal = kind === 'token' ? null : this.auth.refuse(request, this.host)
    const answers = fault?.kind === 'answer' || fault?.kind === 'redirect'
    const reply = answers ? emptyReply : (refusal ?? this.#route(request, kind, fault?.kind !== 'whole'))
    await sendReply(reply, refusal && !answers ? null : fault, target, response)
  }

  #next(kind: RegistryRequestKind, method: string, path: string): RegistryFault | null {
    const found = this.#faults.find(
      ({ fault, left }) =>
        left > 0 &&
        (fault.on === undefined || fault.on === kind) &&
        (fault.method === undefined || fault.method === method) &&
        (fault.path === undefined || path.includes(fault.path)),
    )
    if (!found) return null
    found.left--
    return found.fault
  }

  #route(request: RegistryRequest, kind: RegistryRequestKind, ranges: boolean): RegistryReply {
    const { url } = request
    const [, path = '', rest = ''] =
      /^\/v2\/(.+?)\/(?:manifests|blobs\/uploads|blobs|tags)\/?(.*)$/.exec(url.pathname) ?? []
    const repository = this.#repositories.get(path)
    switch (kind) {
      case 'ping':
        return jsonReply(200, {})
      case 'token':
        return this.auth.issue(request)
      case 'manifest':
        if (request.method === 'PUT') return this.repository(path).manifest(request, rest)
        break
      case 'upload':
        return this.repository(path).upload(request, rest, this.#mountable(url))
      case 'catalog':
        if (this.#options.catalog === false) return errorReply(404, 'NOT_FOUND', 'no catalogue')
        return this.#page('repositories', [...this.#repositories.keys()].sort(), url)
      case 'search':
        if (this.#options.search === false) return errorReply(404, 'NOT_FOUND', 'no search')
        return jsonReply(200, { num_results: this.found.length, results: this.found })
      default:
    }
    if (!repository) return errorReply(404, 'NAME_UNKNOWN', 'repository name not known to registry')
    if (kind === 'manifest') return repository.manifest(request, rest)
    if (kind === 'blob') return repository.blob(request, rest, ranges)
    if (kind === 'tags') return this.#page('tags', [...repository.tags].sort(), url, { name: path })
    return errorReply(404, 'UNSUPPORTED', 'nothing here')
  }

  /** A page of a list, with a `Link` to the next. Source: OCI distribution-spec, "Listing Tags". */
  #page(key: string, all: readonly string[], url: URL, more: object = {}): RegistryReply {
    const size = Math.min(this.pageSize, Number(url.searchParams.get('n') ?? this.pageSize))
    const last = url.searchParams.get('last')
    const rest = last === null ? all : all.filter((name) => name > last)
    const page = rest.slice(0, size)
    const link =
      rest.length > size ? { link: `<${url.pathname}?n=${size}&last=${page.at(-1)}>; rel="next"` } : undefined
    return jsonReply(200, { ...more, [key]: page }, link)
  }

  #mountable(url: URL): Buffer | undefined {
    const from = url.searchParams.get('from')
    return from === null ? undefined : this.#repositories.get(from)?.blobs.get(url.searchParams.get('mount') ?? '')
  }

  #uploadOf(url: URL): { take(bytes: Buffer): void } | null {
    const [, path = '', id = ''] = /^\/v2\/(.+?)\/blobs\/uploads\/(.+)$/.exec(url.pathname) ?? []
    const repository = this.#repositories.get(path)
    return repository ? { take: (bytes) => void repository.take(id, bytes) } : null
  }

  /** How many requests are being answered: what a client has left without closing is among them. */
  get answering(): number {
    return this.#answering
  }

  /** Closes the port and every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}

const emptyReply: RegistryReply = { status: 200, headers: {}, body: Buffer.alloc(0) }

const hasBody = (method: string): boolean => ['POST', 'PUT', 'PATCH'].includes(method)

function kindOf(path: string): RegistryRequestKind {
  if (path === '/v2/') return 'ping'
  if (path === '/token') return 'token'
  if (path === '/v2/_catalog') return 'catalog'
  if (path === '/v1/search') return 'search'
  const found = /^\/v2\/.+?\/(manifests|blobs\/uploads|blobs|tags)(?:\/|$)/.exec(path)?.[1]
  return (
    ({ manifests: 'manifest', 'blobs/uploads': 'upload', blobs: 'blob', tags: 'tags' } as const)[found ?? ''] ??
    'unknown'
  )
}

/** Reads a body, no further than `limit`. */
async function readBody(
  incoming: IncomingMessage,
  limit: number | null,
  tell: (bytes: number) => void,
): Promise<Buffer> {
  const parts: Buffer[] = []
  let bytes = 0
  if (limit === 0) return Buffer.alloc(0)
  for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
    const part = (chunk as Buffer).subarray(0, (limit ?? Number.POSITIVE_INFINITY) - bytes)
    parts.push(part)
    bytes += part.length
    tell(bytes)
    if (limit !== null && bytes >= limit) break
  }
  return Buffer.concat(parts)
}
