import type { Readable } from 'node:stream'
import { registryErrors } from '../errors/registry-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { type Digest, digestOf, isDigest } from '../oci/digest.ts'
import { answerError } from './answer-error.ts'
import type { Authorizer } from './authorizer.ts'
import type { Endpoint } from './endpoint.ts'
import { retrying } from './retry.ts'
import { type Answer, isStream, type Request, type Transport } from './transport.ts'

export interface RemoteRepositoryInit {
  readonly endpoint: Endpoint
  readonly path: string
  readonly actions: 'pull' | 'pull,push'
  readonly transport: Transport
  readonly authorizer: Authorizer
  readonly attempts: number
}

/** A manifest or an index, as it is stored: its digest is that of these bytes. */
export interface RemoteManifest {
  readonly bytes: Buffer
  readonly digest: Digest
  readonly mediaType: string
}

export interface ManifestFacts {
  readonly digest: Digest | null
  readonly mediaType: string
  readonly size: number | null
}

/** Larger ones are refused, as every registry does. Source: distribution-spec, "Pushing Manifests". */
const MOST_MANIFEST_BYTES = 4 << 20
const MOST_LIST_BYTES = 8 << 20
const MOST_LIST_PAGES = 1000

const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  // Named to be refused clearly, not to be answered with something else.
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
]

/** One repository at one endpoint. Source: OCI distribution specification 1.1. */
export class RemoteRepository {
  readonly #init: RemoteRepositoryInit

  constructor(init: RemoteRepositoryInit) {
    this.#init = init
  }

  get endpoint(): Endpoint {
    return this.#init.endpoint
  }

  /** `repository:library/busybox:pull` */
  get #scope(): string {
    return `repository:${this.#init.path}:${this.#init.actions}`
  }

  /** What a tag points at now, without its bytes. @throws `registry.not_found` */
  async look(tagOrDigest: string, call?: CallOptions): Promise<ManifestFacts> {
    const answer = await this.#ask(
      { method: 'HEAD', path: `manifests/${tagOrDigest}`, headers: { accept: manifestTypes.join(', ') } },
      `Looking at ${this.#name(tagOrDigest)}`,
      [200],
      call,
    )
    answer.discard()
    const digest = answer.header('docker-content-digest')
    const length = answer.header('content-length')
    return {
      digest: digest !== null && isDigest(digest) ? digest : null,
      mediaType: mediaTypeOf(answer) ?? '',
      size: length === null ? null : Number(length),
    }
  }

  /**
   * @throws `registry.not_found`, `registry.bad_answer` when the bytes do not have the digest that was asked for,
   *   `registry.too_large`
   */
  async manifest(tagOrDigest: string, call?: CallOptions): Promise<RemoteManifest> {
    const what = `Fetching ${this.#name(tagOrDigest)}`
    const request = {
      method: 'GET',
      path: `manifests/${tagOrDigest}`,
      headers: { accept: manifestTypes.join(', ') },
    } as const
    return retrying(
      what,
      async () => {
        const answer = await this.#once(request, what, [200], call)
        const bytes = await answer.bytes(MOST_MANIFEST_BYTES)
        const digest = digestOf(bytes)
        const promised = isDigest(tagOrDigest) ? tagOrDigest : answer.header('docker-content-digest')
        if (promised?.startsWith('sha256:') && promised !== digest)
          throw this.#bad(what, `sent a manifest whose digest is ${digest}, not ${promised}`)
        return { bytes, digest, mediaType: mediaTypeOf(answer) ?? '' }
      },
      { attempts: this.#init.attempts, ...call },
    )
  }

  /** Size of a blob that is there; null when it is not. */
  async blobSize(digest: Digest, call?: CallOptions): Promise<number | null> {
    const what = `Looking at ${this.#name(digest)}`
    const answer = await this.#ask({ method: 'HEAD', path: `blobs/${digest}` }, what, [200, 404], call)
    answer.discard()
    return answer.status === 404 ? null : Number(answer.header('content-length') ?? 0)
  }

  /**
   * The bytes of a blob from `offset` on; `offset` in the answer is 0 when the registry cannot begin elsewhere. One
   * attempt: who stores them knows where to go on. They are not verified here.
   */
  async blob(
    digest: Digest,
    offset: number,
    call?: CallOptions,
  ): Promise<{ readonly offset: number; readonly chunks: AsyncIterable<Uint8Array> }> {
    const what = `Fetching ${this.#name(digest)}`
    const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {}
    const answer = await this.#once({ method: 'GET', path: `blobs/${digest}`, headers }, what, [200, 206, 416], call)
    if (answer.status === 416) {
      answer.discard()
      return this.blob(digest, 0, call)
    }
    if (answer.status === 200) return { offset: 0, chunks: answer.body }
    const start = /^bytes (\d+)-/.exec(answer.header('content-range') ?? '')?.[1]
    if (start !== undefined && Number(start) === offset) return { offset, chunks: answer.body }
    answer.discard()
    throw this.#bad(what, 'answered with another range than the one asked for')
  }

  /** Takes a blob over from another repository of the same registry; else where to send it. */
  async mount(digest: Digest, from: string, call?: CallOptions): Promise<'mounted' | URL> {
    const what = `Mounting ${this.#name(digest)}`
    const scope = `${this.#scope} repository:${from}:pull`
    const path = `blobs/uploads/?mount=${digest}&from=${encodeURIComponent(from)}`
    const answer = await this.#ask({ method: 'POST', path, body: empty, scope }, what, [201, 202], call)
    answer.discard()
    return answer.status === 201 ? 'mounted' : this.#location(answer, what)
  }

  /** Where to send a new blob. */
  async startUpload(digest: Digest, call?: CallOptions): Promise<URL> {
    const what = `Sending ${this.#name(digest)}`
    const answer = await this.#ask({ method: 'POST', path: 'blobs/uploads/', body: empty }, what, [202], call)
    answer.discard()
    return this.#location(answer, what)
  }

  /** Sends a blob whole, in one request, to where `mount` or `startUpload` said. One attempt. */
  async sendBlob(
    location: URL,
    blob: { readonly digest: Digest; readonly size: number },
    body: Readable,
    call?: CallOptions,
  ): Promise<void> {
    const url = new URL(location.href)
    url.searchParams.set('digest', blob.digest)
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(blob.size) }
    const what = `Sending ${this.#name(blob.digest)}`
    const answer = await this.#once({ method: 'PUT', path: url, headers, body }, what, [201], call)
    answer.discard()
  }

  async putManifest(
    tagOrDigest: string,
    manifest: { readonly bytes: Uint8Array; readonly mediaType: string },
    call?: CallOptions,
  ): Promise<void> {
    const what = `Sending ${this.#name(tagOrDigest)}`
    const headers = { 'content-type': manifest.mediaType }
    const request = { method: 'PUT', path: `manifests/${tagOrDigest}`, headers, body: manifest.bytes } as const
    const answer = await this.#ask(request, what, [201], call)
    answer.discard()
  }

  /** Every tag, in the registry's order. */
  async tags(call?: CallOptions): Promise<string[]> {
    const what = `Listing the tags of ${this.#init.path}`
    const found = new Set<string>()
    let path: string | URL | null = 'tags/list?n=1000'
    for (let page = 0; path !== null && page < MOST_LIST_PAGES; page++) {
      const answer: Answer = await this.#ask({ method: 'GET', path }, what, [200], call)
      const said = parseJson(await answer.bytes(MOST_LIST_BYTES)) as { readonly tags?: unknown } | null
      if (said === null || !(said.tags === null || said.tags === undefined || Array.isArray(said.tags)))
        throw this.#bad(what, 'answered with something else than a list of tags')
      const known = found.size
      for (const tag of said.tags ?? []) if (typeof tag === 'string') found.add(tag)
      const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(answer.header('link') ?? '')?.[1]
      // A page that says nothing new would be followed by itself.
      path =
        next !== undefined && found.size > known && URL.canParse(next, answer.url.href)
          ? new URL(next, answer.url.href)
          : null
    }
    return [...found]
  }

  /** With retries. */
  #ask(request: RepositoryRequest, what: string, expected: readonly number[], call?: CallOptions): Promise<Answer> {
    return retrying(what, () => this.#once(request, what, expected, call), { attempts: this.#init.attempts, ...call })
  }

  /** Authenticates when it is asked to; any other status than the expected ones is an error. */
  async #once(
    request: RepositoryRequest,
    what: string,
    expected: readonly number[],
    call?: CallOptions,
  ): Promise<Answer> {
    const { endpoint, transport, authorizer } = this.#init
    const scope = request.scope ?? this.#scope
    const url =
      request.path instanceof URL ? request.path : new URL(`v2/${this.#init.path}/${request.path}`, endpoint.base.href)
    const send = (authorization: string | null) => {
      // What the registry itself answers elsewhere with does not need our secret.
      const own = authorization !== null && isOwn(url, endpoint)
      const headers = { ...request.headers, ...(own ? { authorization } : {}) }
      return transport.send({ endpoint, url, method: request.method, headers, body: request.body, ...call })
    }
    const known = await authorizer.header(scope, call)
    let answer = await send(known)
    // A body that was read cannot be sent again.
    if (answer.status === 401 && !isStream(request.body)) {
      answer.discard()
      answer = await send(await authorizer.afterRefusal(answer, known, scope, call))
      if (answer.status === 401) {
        answer.discard()
        throw await authorizer.refusal()
      }
    }
    if (expected.includes(answer.status)) return answer
    throw await answerError(answer, what, endpoint.registry)
  }

  #location(answer: Answer, what: string): URL {
    const location = answer.header('location')
    if (location !== null && URL.canParse(location, answer.url.href)) return new URL(location, answer.url.href)
    throw this.#bad(what, 'did not say where to send the blob')
  }

  #bad(what: string, problem: string) {
    const { registry } = this.#init.endpoint
    return registryErrors.error('bad_answer', {
      message: `${what}: ${registry} ${problem}.`,
      subject: { type: 'registry', id: registry },
      details: { registry },
    })
  }

  #name(tagOrDigest: string): string {
    const { endpoint, path } = this.#init
    return `${endpoint.base.host}/${path}${isDigest(tagOrDigest) ? '@' : ':'}${tagOrDigest}`
  }
}

interface RepositoryRequest {
  readonly method: Request['method']
  /** Below `v2/<repository>/`, or whole. */
  readonly path: string | URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Readable | Uint8Array | undefined
  readonly scope?: string
}

const empty = new Uint8Array(0)

/** Whether a secret for the endpoint may be sent there: never in the clear, unless all of it may be. */
const isOwn = (url: URL, { base, insecure }: Endpoint): boolean =>
  url.host === base.host && (url.protocol === base.protocol || insecure)

const mediaTypeOf = (answer: Answer): string | null => answer.header('content-type')?.split(';')[0]?.trim() ?? null

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return null
  }
}
