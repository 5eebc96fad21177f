import { createHash } from 'node:crypto'
import type { CallOptions } from '../lifetime/call-options.ts'
import { type Digest, digestAlgorithm, isDigest } from '../oci/digest.ts'
import { BlobUploads } from './blob-uploads.ts'
import type { Endpoint } from './endpoint.ts'
import type { EndpointRequest, EndpointRequests } from './endpoint-requests.ts'
import { readList } from './list-pages.ts'
import { type RateLimit, rateLimitOf } from './rate-limit.ts'
import { retrying } from './retry.ts'
import type { Answer } from './transport.ts'

export interface RemoteRepositoryInit {
  readonly requests: EndpointRequests
  /** As the endpoint knows it: with the endpoint's prefix. */
  readonly path: string
  readonly actions: 'pull' | 'pull,push'
}

/** A manifest or an index, as it is stored: its digest is that of these bytes. */
export interface RemoteManifest {
  readonly bytes: Buffer
  readonly digest: Digest
  readonly mediaType: string
  /** When the registry says so. */
  readonly rateLimit: RateLimit | null
}

export interface ManifestFacts {
  readonly digest: Digest | null
  readonly mediaType: string
  readonly size: number | null
}

/** Larger ones are refused, as every registry does. Source: distribution-spec, "Pushing Manifests". */
const MOST_MANIFEST_BYTES = 4 << 20

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
  readonly uploads: BlobUploads
  readonly #init: RemoteRepositoryInit

  constructor(init: RemoteRepositoryInit) {
    this.#init = init
    const { requests, path } = init
    this.uploads = new BlobUploads({ requests, path, scope: this.#scope })
  }

  get endpoint(): Endpoint {
    return this.#init.requests.endpoint
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
        const type = mediaTypeOf(answer)
        if (type?.startsWith('text/html')) {
          answer.discard()
          throw this.#bad(what, 'answered with a web page: something else than a registry stands there')
        }
        const bytes = await answer.bytes(MOST_MANIFEST_BYTES)
        const said = isDigest(tagOrDigest) ? tagOrDigest : answer.header('docker-content-digest')
        const promised = said !== null && isDigest(said) ? said : null
        const digest = digestAs(promised, bytes)
        if (promised !== null && promised !== digest)
          throw this.#bad(what, `sent a manifest whose digest is ${digest}, not ${promised}`)
        return { bytes, digest, mediaType: type ?? '', rateLimit: rateLimitOf(answer) }
      },
      { attempts: this.#init.requests.attempts, ...call },
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
    // Nothing is outside of the whole: who says so would be asked for ever.
    const expected = offset > 0 ? [200, 206, 416] : [200, 206]
    const answer = await this.#once({ method: 'GET', path: `blobs/${digest}`, headers }, what, expected, call)
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

  /** Every tag, in the registry's order, page by page. @throws `registry.not_found` */
  tags(call?: CallOptions): AsyncGenerator<string> {
    const { requests, path } = this.#init
    const what = `Listing the tags of ${this.endpoint.base.host}/${path}`
    return readList(requests, { path: `v2/${path}/tags/list?n=1000`, key: 'tags', scope: this.#scope, what }, call)
  }

  /** With retries. */
  #ask(request: RepositoryRequest, what: string, expected: readonly number[], call?: CallOptions): Promise<Answer> {
    return this.#init.requests.ask(this.#whole(request, what, expected), call)
  }

  #once(request: RepositoryRequest, what: string, expected: readonly number[], call?: CallOptions): Promise<Answer> {
    return this.#init.requests.once(this.#whole(request, what, expected), call)
  }

  #whole(request: RepositoryRequest, what: string, expected: readonly number[]): EndpointRequest {
    return { ...request, path: `v2/${this.#init.path}/${request.path}`, scope: this.#scope, what, expected }
  }

  #bad(what: string, problem: string) {
    return this.#init.requests.bad(what, problem)
  }

  #name(tagOrDigest: string): string {
    return `${this.endpoint.base.host}/${this.#init.path}${isDigest(tagOrDigest) ? '@' : ':'}${tagOrDigest}`
  }
}

/** `path` is below `v2/<repository>/`. */
type RepositoryRequest = Pick<EndpointRequest, 'method' | 'headers' | 'body'> & { readonly path: string }

/** In the algorithm of the digest that was promised. */
const digestAs = (promised: Digest | null, bytes: Buffer): Digest => {
  const algorithm = promised === null ? 'sha256' : digestAlgorithm(promised)
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest
}

const mediaTypeOf = (answer: Answer): string | null =>
  answer.header('content-type')?.split(';')[0]?.trim().toLowerCase() ?? null
