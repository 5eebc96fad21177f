import type { Readable } from 'node:stream'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { Scope } from './authorizer.ts'
import type { EndpointRequest, EndpointRequests } from './endpoint-requests.ts'
import type { Answer } from './transport.ts'

/** A blob on its way into a repository, as the registry has said it last. */
export interface Upload {
  /** Where the next request goes; every answer may name another place. */
  readonly location: URL
  /** Bytes that the registry has. */
  readonly offset: number
  /** The least that a piece but the last one must have. */
  readonly leastChunk: number
}

export interface BlobUploadsInit {
  readonly requests: EndpointRequests
  readonly path: string
  readonly scope: Scope
}

const binary = { 'content-type': 'application/octet-stream' } as const

/** Ways to bring a blob into a repository, one request each. Source: OCI distribution-spec 1.1, "Pushing Blobs". */
export class BlobUploads {
  readonly #init: BlobUploadsInit

  constructor(init: BlobUploadsInit) {
    this.#init = init
  }

  get attempts(): number {
    return this.#init.requests.attempts
  }

  /** Takes a blob over from another repository of the same registry; else an upload for it has begun. */
  async mount(digest: Digest, from: string, call?: CallOptions): Promise<'mounted' | Upload> {
    const answer = await this.#init.requests.ask(
      {
        ...this.#request('POST', digest, [201, 202]),
        path: `${this.#base}?mount=${digest}&from=${encodeURIComponent(from)}`,
        body: empty,
        scope: `${this.#init.scope} repository:${from}:pull`,
      },
      call,
    )
    answer.discard()
    return answer.status === 201 ? 'mounted' : this.#upload(answer, digest, 0)
  }

  async start(digest: Digest, call?: CallOptions): Promise<Upload> {
    const answer = await this.#init.requests.ask({ ...this.#request('POST', digest, [202]), body: empty }, call)
    answer.discard()
    return this.#upload(answer, digest, 0)
  }

  /** How far an upload has come; null when the registry does not know it any more. */
  async look(upload: Upload, digest: Digest, call?: CallOptions): Promise<Upload | null> {
    const request = this.#request('GET', digest, [204, 200, 202, 400, 404, 405, 416])
    const answer = await this.#init.requests.ask({ ...request, path: upload.location }, call)
    answer.discard()
    const offset = answer.status < 300 ? offsetOf(answer) : null
    // Some tell the range and leave the place out: then it is where it was asked for.
    return offset === null ? null : this.#upload(answer, digest, offset, upload)
  }

  /** Sends what is still missing and ends the upload, in one request. `body` is the bytes from `upload.offset` on. */
  async finish(
    upload: Upload,
    blob: { readonly digest: Digest; readonly size: number },
    body: Readable | null,
    call?: CallOptions,
  ): Promise<void> {
    const url = new URL(upload.location.href)
    url.searchParams.set('digest', blob.digest)
    const length = body === null ? 0 : blob.size - upload.offset
    const range: Record<string, string> =
      length > 0 && upload.offset > 0 ? { 'content-range': `${upload.offset}-${blob.size - 1}` } : {}
    const request = {
      ...this.#request('PUT', blob.digest, [201]),
      path: url,
      headers: { ...binary, ...range, 'content-length': String(length) },
      body: body ?? empty,
    }
    const answer = await this.#init.requests.once(request, call)
    answer.discard()
  }

  /** Sends one piece. `body` is `length` bytes from `upload.offset` on. */
  async sendChunk(
    upload: Upload,
    digest: Digest,
    { length, body }: { readonly length: number; readonly body: Readable },
    call?: CallOptions,
  ): Promise<Upload> {
    const end = upload.offset + length
    const request = {
      ...this.#request('PATCH', digest, [202]),
      path: upload.location,
      headers: { ...binary, 'content-range': `${upload.offset}-${end - 1}`, 'content-length': String(length) },
      body,
    }
    const answer = await this.#init.requests.once(request, call)
    answer.discard()
    return this.#upload(answer, digest, offsetOf(answer) ?? end, upload)
  }

  #request(method: EndpointRequest['method'], digest: Digest, expected: readonly number[]): EndpointRequest {
    const { path, scope, requests } = this.#init
    const what = `Sending ${requests.endpoint.base.host}/${path}@${digest}`
    return { method, path: this.#base, scope, expected, what }
  }

  get #base(): string {
    return `v2/${this.#init.path}/blobs/uploads/`
  }

  #upload(answer: Answer, digest: Digest, offset: number, before: Upload | null = null): Upload {
    const { requests } = this.#init
    const location = answer.header('location')
    const least = Number(answer.header('oci-chunk-min-length') ?? before?.leastChunk ?? 0)
    const leastChunk = Number.isSafeInteger(least) && least > 0 ? least : 0
    if (location !== null && URL.canParse(location, answer.url.href)) {
      const place = new URL(location, answer.url.href)
      const isSafe = place.protocol === 'https:' || answer.url.protocol === 'http:' || requests.endpoint.insecure
      if (/^https?:$/.test(place.protocol) && place.username === '' && isSafe)
        return { location: place, offset, leastChunk }
    } else if (location === null && before) return { ...before, offset, leastChunk }
    throw requests.bad(
      this.#request('POST', digest, []).what,
      'did not say where to send the blob, or names no safe place',
    )
  }
}

const empty = new Uint8Array(0)

/** `Range: 0-1023`: 1024 bytes are there; `0-0` is what registries say when nothing is. */
function offsetOf(answer: Answer): number | null {
  const end = /^(?:bytes=)?0-(\d{1,16})$/.exec(answer.header('range') ?? '')?.[1]
  if (end === undefined) return null
  return end === '0' ? 0 : Number(end) + 1
}
