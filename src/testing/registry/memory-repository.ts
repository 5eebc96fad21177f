import { randomBytes } from 'node:crypto'
import { digestOf, isDigest } from '../../oci/digest.ts'
import type { RegistryReply } from './registry-fault.ts'

/** What a request says, with its body read. */
export interface RegistryRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

interface StoredManifest {
  readonly bytes: Buffer
  readonly mediaType: string
}

/** JSON with the content type that registries give it. */
export const jsonReply = (
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): RegistryReply => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: Buffer.from(JSON.stringify(value)),
})

/** An error in the words of the specification. Source: OCI distribution-spec, "Error Codes". */
export const errorReply = (
  status: number,
  code: string,
  message: string,
  headers?: Readonly<Record<string, string>>,
): RegistryReply => jsonReply(status, { errors: [{ code, message }] }, headers)

/** One repository in memory: manifests, tags, blobs and uploads. Source: OCI distribution-spec 1.1. */
export class MemoryRepository {
  readonly path: string
  /** By digest or tag: what is asked for by that name is answered with these bytes, whatever their digest. */
  readonly manifests = new Map<string, StoredManifest>()
  readonly tags = new Set<string>()
  readonly blobs = new Map<string, Buffer>()
  /** Bytes of uploads that have begun. */
  readonly uploads = new Map<string, Buffer>()

  constructor(path: string) {
    this.path = path
  }

  /** Stores a manifest under its digest, and under a tag when one is given. */
  putManifest(bytes: Uint8Array, mediaType: string, tag: string | null): string {
    const stored = { bytes: Buffer.from(bytes), mediaType }
    const digest = digestOf(bytes)
    this.manifests.set(digest, stored)
    if (tag !== null) {
      this.manifests.set(tag, stored)
      this.tags.add(tag)
    }
    return digest
  }

  /** Answers a request for a manifest, or takes one. */
  manifest({ method, headers, body }: RegistryRequest, reference: string): RegistryReply {
    if (method === 'PUT') {
      if (isDigest(reference) && digestOf(body) !== reference) return errorReply(400, 'DIGEST_INVALID', 'wrong digest')
      const digest = this.putManifest(body, headers['content-type'] ?? '', isDigest(reference) ? null : reference)
      const location = `/v2/${this.path}/manifests/${digest}`
      return { status: 201, headers: { location, 'docker-content-digest': digest }, body: Buffer.alloc(0) }
    }
    const found = this.manifests.get(reference)
    if (!found) return errorReply(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
    const digest = isDigest(reference) ? reference : digestOf(found.bytes)
    return {
      status: 200,
      headers: { 'content-type': found.mediaType, 'docker-content-digest': digest },
      body: found.bytes,
    }
  }

  /** Answers a request for a blob or, with `ranges`, for the rest of one. */
  blob({ headers }: RegistryRequest, digest: string, ranges: boolean): RegistryReply {
    const bytes = this.blobs.get(digest)
    if (!bytes) return errorReply(404, 'BLOB_UNKNOWN', 'blob unknown')
    const facts = {
      'content-type': 'application/octet-stream',
      'docker-content-digest': digest,
      etag: `"${digest}"`,
    }
    const from = ranges ? /^bytes=(\d+)-$/.exec(headers['range'] ?? '')?.[1] : undefined
    if (from === undefined) return { status: 200, headers: facts, body: bytes }
    const start = Number(from)
    if (start >= bytes.length)
      return { status: 416, headers: { 'content-range': `bytes */${bytes.length}` }, body: Buffer.alloc(0) }
    const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`
    return { status: 206, headers: { ...facts, 'content-range': range }, body: bytes.subarray(start) }
  }

  /** `id` is empty for a new upload. */
  upload(request: RegistryRequest, id: string, mountable: Buffer | undefined): RegistryReply {
    const { method, url, headers, body } = request
    if (method === 'POST') {
      const mount = url.searchParams.get('mount')
      if (mount !== null && mountable) {
        this.blobs.set(mount, mountable)
        return { status: 201, headers: { location: `/v2/${this.path}/blobs/${mount}` }, body: Buffer.alloc(0) }
      }
      const made = randomBytes(8).toString('hex')
      this.uploads.set(made, Buffer.alloc(0))
      return this.#stand(202, made)
    }
    const known = this.uploads.get(id)
    if (!known) return errorReply(404, 'BLOB_UPLOAD_UNKNOWN', 'no such upload')
    if (method === 'GET') return this.#stand(204, id)
    if (method === 'DELETE') {
      this.uploads.delete(id)
      return { status: 204, headers: {}, body: Buffer.alloc(0) }
    }
    const start = /^(\d+)-\d+$/.exec(headers['content-range'] ?? '')?.[1]
    if (start !== undefined && Number(start) !== known.length) return this.#stand(416, id)
    const bytes = this.take(id, body)
    if (method === 'PATCH') return this.#stand(202, id)
    const digest = url.searchParams.get('digest') ?? ''
    if (digestOf(bytes) !== digest) return errorReply(400, 'DIGEST_INVALID', 'the bytes have another digest')
    this.uploads.delete(id)
    this.blobs.set(digest, bytes)
    return { status: 201, headers: { location: `/v2/${this.path}/blobs/${digest}` }, body: Buffer.alloc(0) }
  }

  /** Adds bytes to an upload; all that it has then. */
  take(id: string, bytes: Buffer): Buffer {
    const all = Buffer.concat([this.uploads.get(id) ?? Buffer.alloc(0), bytes])
    if (this.uploads.has(id)) this.uploads.set(id, all)
    return all
  }

  #stand(status: number, id: string): RegistryReply {
    const length = this.uploads.get(id)?.length ?? 0
    const location = `/v2/${this.path}/blobs/uploads/${id}`
    return {
      status,
      headers: { location, 'docker-upload-uuid': id, range: `0-${Math.max(0, length - 1)}` },
      body: Buffer.alloc(0),
    }
  }
}
