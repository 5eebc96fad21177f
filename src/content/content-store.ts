import { statSync } from 'node:fs'
import { contentErrors } from '../errors/content-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { Database } from '../state/database.ts'
import { Owners } from '../state/owners.ts'
import type { RootPaths } from '../state/paths.ts'
import { type ReadBlobOptions, readVerified } from './blob-reader.ts'
import type { Blob, BlobWriter } from './blob-writer.ts'
import { type BlobProblem, type CheckContentOptions, ContentCheck } from './check-content.ts'
import { GarbageCollector, type GarbageOptions, type GarbageReport } from './collect-garbage.ts'
import { ContentLayout } from './content-layout.ts'
import { IngestFiles } from './ingest-files.ts'
import { type BlobSource, Ingestion, type IngestOptions, type WriterOptions } from './ingestion.ts'
import { Lease } from './lease.ts'

export interface ContentStoreInit {
  readonly paths: RootPaths
  readonly db: Database
  /** `owners.id` of this process. */
  readonly owner: string
}

/** Metadata larger than this is hostile. Bytes. */
export const maxJsonSize = 16 << 20

/**
 * Blobs by digest, in an OCI image layout. A blob is visible only whole and verified, is never changed, and stays
 * while an image or a lease needs it. Many processes may use one store at once.
 */
export class ContentStore {
  readonly #db: Database
  readonly #owner: string
  readonly #layout: ContentLayout
  readonly #files: IngestFiles
  readonly #garbage: GarbageCollector
  readonly #check: ContentCheck
  readonly #ingestion: Ingestion

  constructor(init: ContentStoreInit) {
    this.#db = init.db
    this.#owner = init.owner
    this.#layout = new ContentLayout(init.paths.content)
    this.#layout.prepare()
    const owners = new Owners(init.db, init.paths)
    this.#files = new IngestFiles(this.#layout.ingest, init.owner, owners)
    this.#garbage = new GarbageCollector(init.db, this.#layout, this.#files, owners)
    this.#check = new ContentCheck(init.db, this.#layout, this.#files, this.#garbage)
    this.#ingestion = new Ingestion({ db: init.db, layout: this.#layout, files: this.#files, store: this })
  }

  /** The index of the layout; what it says is the image store's. */
  get indexFile(): string {
    return this.#layout.index
  }

  /** Release it, or discard what it holds; a dead process's leases end with it. */
  createLease(): Lease {
    return Lease.create(this.#db, this.#owner)
  }

  /** Runs `work` under a lease that ends with it. */
  async withLease<T>(work: (lease: Lease) => Promise<T>): Promise<T> {
    const lease = this.createLease()
    try {
      return await work(lease)
    } finally {
      lease.release()
    }
  }

  /** Ends a lease and removes at once those of its blobs that nothing else needs. */
  discard(lease: Lease): void {
    this.#garbage.discard(lease)
  }

  /** Removes what interrupted ingests of these refs have left, unless somebody goes on with it. Needs no disk space. */
  dropPartials(refs: readonly string[]): void {
    for (const ref of refs) this.#files.drop(ref)
  }

  has(digest: Digest): boolean {
    return this.stat(digest) !== null
  }

  /** Null when the blob is not here whole. */
  stat(digest: Digest): Blob | null {
    const row = this.#db.get<{ size: number }>('SELECT size FROM blobs WHERE digest = ?', digest)
    if (!row) return null
    const facts = statSync(this.#layout.blob(digest), { throwIfNoEntry: false })
    return facts?.size === row.size ? { digest, size: row.size } : null
  }

  /** The file of a blob, for readers that verify what they read themselves. */
  fileOf(digest: Digest): string {
    return this.#layout.blob(digest)
  }

  /**
   * Starts a blob. Dispose the writer in any case. With a `ref` it waits until nobody else writes that one, and its
   * `size` may start above zero.
   */
  openWriter(options: WriterOptions): Promise<BlobWriter> {
    return this.#ingestion.openWriter(options)
  }

  /**
   * Stores what `source` yields, verified while it streams, and gives its digest. What is there already is not read
   * again; what another process stores under the same `ref` and digest is waited for. Nothing stays behind on failure,
   * except the partial of a `ref`.
   *
   * @throws `content.digest_mismatch`, `content.size_mismatch`, `content.too_large`, `content.full`, `call.aborted`
   */
  ingest(source: BlobSource, options: IngestOptions): Promise<Blob & { readonly reused: boolean }> {
    return this.#ingestion.ingest(source, options)
  }

  /**
   * The bytes of a blob. The loop rejects at its end when they are not what the digest says.
   *
   * @throws `content.not_found` at once; `content.digest_mismatch`, `content.damaged` while reading
   */
  openRead(digest: Digest, options: ReadBlobOptions = {}): AsyncIterable<Uint8Array> {
    return readVerified(this.#layout.blob(digest), this.require(digest), options)
  }

  /** @throws `content.too_large` above `maxBytes`, and what `openRead` throws */
  async readBytes(digest: Digest, options: CallOptions & { readonly maxBytes: number }): Promise<Buffer> {
    const { size } = this.require(digest)
    if (size > options.maxBytes)
      throw contentErrors.error('too_large', {
        message: `Blob ${digest} has ${size} bytes, more than the ${options.maxBytes} that are read at once.`,
        subject: { type: 'blob', id: digest },
        details: { limit: options.maxBytes, actual: size },
      })
    const chunks: Uint8Array[] = []
    for await (const chunk of this.openRead(digest, options)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  /** Parses a verified blob; at most 16 MiB unless told. @throws `content.bad_json`, and what `readBytes` throws */
  async readJson(digest: Digest, options: CallOptions & { readonly maxBytes?: number } = {}): Promise<unknown> {
    const bytes = await this.readBytes(digest, { ...options, maxBytes: options.maxBytes ?? maxJsonSize })
    try {
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    } catch (error) {
      throw contentErrors.error('bad_json', {
        message: `Blob ${digest} is not JSON: ${String(error)}.`,
        subject: { type: 'blob', id: digest },
        cause: error,
      })
    }
  }

  /** Removes blobs that no image and no lease needs, files without a record, and what dead processes left. */
  collectGarbage(options: GarbageOptions = {}): Promise<GarbageReport> {
    return this.#garbage.collect(options)
  }

  /** Removes those of the blobs that no image and no lease needs. */
  removeIfUnneeded(digests: readonly Digest[]): Promise<GarbageReport> {
    return this.#garbage.collectLater(digests)
  }

  /** Compares the records of blobs with their files. */
  check(options: CheckContentOptions = {}): Promise<readonly BlobProblem[]> {
    return this.#check.run(options)
  }

  /** Digests of all files, recorded or not. */
  digests(): readonly Digest[] {
    return this.#check.digests()
  }

  /** Bytes of a file, recorded or not; 0 when there is none. */
  sizeOnDisk(digest: Digest): number {
    return statSync(this.#layout.blob(digest), { throwIfNoEntry: false })?.size ?? 0
  }

  /** Takes over what dead owners had stored and not yet recorded. Call it before their leases go. */
  adopt(deadOwners: readonly string[]): void {
    if (deadOwners.length > 0) this.#check.adopt(deadOwners)
  }

  /** Records a blob that lies in the store whole; false when it does not. Hold a lease on it. */
  recover(digest: Digest, call?: CallOptions): Promise<boolean> {
    return this.#check.recover(digest, call)
  }

  /** Like `stat`. @throws `content.not_found`, `content.damaged` when it was here whole */
  require(digest: Digest): Blob {
    const blob = this.stat(digest)
    if (blob) return blob
    const known = this.#db.get('SELECT 1 FROM blobs WHERE digest = ?', digest) !== undefined
    throw contentErrors.error(known ? 'damaged' : 'not_found', {
      message: known
        ? `The stored blob ${digest} has vanished or changed its size on disk. Load or pull its image again.`
        : `Blob ${digest} is not in the store. Load or pull its image.`,
      subject: { type: 'blob', id: digest },
    })
  }
}
