import { constants, statSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { contentErrors } from '../errors/content-errors.ts'
import { type CallOptions, raceAbort, throwIfAborted } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { ByteMeter } from '../progress/byte-meter.ts'
import type { ProgressSink } from '../progress/progress-event.ts'
import type { Database } from '../state/database.ts'
import { Owners } from '../state/owners.ts'
import type { RootPaths } from '../state/paths.ts'
import { type ReadBlobOptions, readVerified } from './blob-reader.ts'
import { type Blob, BlobWriter, type ExpectedBlob } from './blob-writer.ts'
import { type BlobProblem, type CheckContentOptions, ContentCheck } from './check-content.ts'
import { GarbageCollector, type GarbageOptions, type GarbageReport } from './collect-garbage.ts'
import { ContentLayout } from './content-layout.ts'
import { describeWriteFailure } from './disk-failure.ts'
import { IngestFiles } from './ingest-files.ts'
import { Lease } from './lease.ts'

export interface ContentStoreInit {
  readonly paths: RootPaths
  readonly db: Database
  /** `owners.id` of this process. */
  readonly owner: string
}

export interface WriterOptions extends CallOptions {
  /** Keeps the blob until the caller has named it. */
  readonly lease: Lease
  readonly expected?: ExpectedBlob | undefined
  /** Names the work across attempts and processes: a failed or killed attempt is resumed by the next with this ref. */
  readonly ref?: string | undefined
  /** Bytes; default unlimited. */
  readonly maxSize?: number | undefined
}

export interface IngestOptions extends WriterOptions {
  readonly report?: ProgressSink | undefined
  /** What progress calls the blob. Default: its expected digest, else `blob`. */
  readonly item?: string | undefined
}

/** From where a resumable source goes on. */
export interface ResumePoint {
  /** Bytes that the store has already. */
  readonly offset: number
  /** For sources that can only begin at the beginning: drops those bytes. */
  restart(): Promise<void>
}

export type BlobSource =
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>
  | ((from: ResumePoint) => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>)

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

  constructor(init: ContentStoreInit) {
    this.#db = init.db
    this.#owner = init.owner
    this.#layout = new ContentLayout(init.paths.content)
    this.#layout.prepare()
    const owners = new Owners(init.db, init.paths)
    this.#files = new IngestFiles(this.#layout.ingest, init.owner, owners)
    this.#garbage = new GarbageCollector(init.db, this.#layout, this.#files, owners)
    this.#check = new ContentCheck(init.db, this.#layout, this.#files, this.#garbage)
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
    const blobs = lease.blobs
    lease.release()
    this.#garbage.collectOnly(blobs)
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

  /** Starts a blob. Dispose the writer in any case. With a `ref` its `size` may start above zero. */
  async openWriter(options: WriterOptions): Promise<BlobWriter> {
    throwIfAborted(options, 'The ingest')
    const { ref } = options
    const file = (ref === undefined ? null : this.#files.claim(ref)) ?? this.#files.fresh(ref ?? null)
    const writer = new BlobWriter({
      file,
      handle: await this.#openFile(file),
      expected: options.expected ?? {},
      maxSize: options.maxSize ?? Number.POSITIVE_INFINITY,
      sink: {
        directory: this.#layout.directory,
        announce: (digest) => {
          options.lease.addBlob(digest)
          return this.has(digest)
        },
        fileOf: (digest) => this.#layout.blob(digest),
        // No fsync here: the record of the image that names the blob is durable and comes after it in the log.
        record: (blob) =>
          this.#db.transaction(
            () =>
              this.#db.run(
                'INSERT INTO blobs (digest, size, created_at) VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE SET size = excluded.size',
                blob.digest,
                blob.size,
                Date.now(),
              ),
            'process',
          ),
        abandon: async (unfinished) => {
          if (ref !== undefined && (statSync(unfinished, { throwIfNoEntry: false })?.size ?? 0) > 0)
            this.#files.keep(unfinished, ref)
          else await rm(unfinished, { force: true })
        },
      },
    })
    if (ref !== undefined) {
      try {
        await writer.resume(options)
      } catch (error) {
        await writer[Symbol.asyncDispose]()
        throw error
      }
    }
    return writer
  }

  /**
   * Stores what `source` yields, verified while it streams, and gives its digest. What is there already is not read
   * again. Nothing stays behind on failure, except the partial of a `ref`.
   *
   * @throws `content.digest_mismatch`, `content.size_mismatch`, `content.too_large`, `content.full`, `call.aborted`
   */
  async ingest(source: BlobSource, options: IngestOptions): Promise<Blob & { readonly reused: boolean }> {
    throwIfAborted(options, 'The ingest')
    const { expected, report = () => {} } = options
    const item = options.item ?? expected?.digest ?? 'blob'
    if (expected?.digest) {
      options.lease.addBlob(expected.digest)
      const present = this.stat(expected.digest)
      if (present) {
        report({ type: 'item-done', item, reused: true })
        return { ...present, reused: true }
      }
    }
    await using writer = await this.openWriter(options)
    const meter = new ByteMeter(report, item, expected?.size ?? null)
    const chunks = typeof source === 'function' ? await source(resumePoint(writer)) : source
    if (typeof source !== 'function' && writer.size > 0) await writer.restart()
    meter.add(writer.size)
    for await (const chunk of abortable(chunks, options.signal)) {
      await writer.write(chunk)
      meter.add(chunk.length)
    }
    const blob = await writer.commit()
    meter.flush()
    report({ type: 'item-done', item, reused: blob.reused })
    return blob
  }

  /**
   * The bytes of a blob. The loop rejects at its end when they are not what the digest says.
   *
   * @throws `content.not_found` at once; `content.digest_mismatch`, `content.damaged` while reading
   */
  openRead(digest: Digest, options: ReadBlobOptions = {}): AsyncIterable<Uint8Array> {
    return readVerified(this.#layout.blob(digest), this.#require(digest), options)
  }

  /** @throws `content.too_large` above `maxBytes`, and what `openRead` throws */
  async readBytes(digest: Digest, options: CallOptions & { readonly maxBytes: number }): Promise<Buffer> {
    const { size } = this.#require(digest)
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

  /** Records a blob that lies in the store whole; false when it does not. Hold a lease on it. */
  recover(digest: Digest, call?: CallOptions): Promise<boolean> {
    return this.#check.recover(digest, call)
  }

  #require(digest: Digest): Blob {
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

  async #openFile(file: string) {
    try {
      return await open(file, constants.O_RDWR | constants.O_CREAT, 0o600)
    } catch (error) {
      throw describeWriteFailure(error, 'A blob', this.#layout.directory)
    }
  }
}

const resumePoint = (writer: BlobWriter): ResumePoint => ({ offset: writer.size, restart: () => writer.restart() })

/** Leaves a source that stalls as soon as the signal fires. */
async function* abortable(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  let finished = false
  try {
    while (true) {
      const next = await raceAbort(Promise.resolve(iterator.next()), signal, 'The ingest')
      finished = next.done === true
      if (next.done) return
      yield next.value
    }
  } finally {
    // Not awaited: a generator that stalls in next() would never answer.
    if (!finished) Promise.resolve(iterator.return?.()).catch(() => {})
  }
}
