import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, raceAbort, throwIfAborted } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { ByteMeter } from '../progress/byte-meter.ts'
import type { ProgressSink } from '../progress/progress-event.ts'
import type { Database } from '../state/database.ts'
import { type Blob, BlobWriter, type ExpectedBlob } from './blob-writer.ts'
import type { ContentLayout } from './content-layout.ts'
import type { IngestFile, IngestFiles } from './ingest-files.ts'
import type { Lease } from './lease.ts'

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
  /**
   * Told from where the blob can be read while it comes, and how many bytes of it; fewer than before when it begins
   * anew. They are not verified yet. The file is ours, or that of whoever fetches the blob for the same `ref`.
   */
  readonly onGrowth?: ((path: string, bytes: number) => void) | undefined
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

/** What an ingest asks of its store. */
export interface IngestionStore {
  has(digest: Digest): boolean
  stat(digest: Digest): Blob | null
  recover(digest: Digest, call?: CallOptions): Promise<boolean>
}

export interface IngestionInit {
  readonly db: Database
  readonly layout: ContentLayout
  readonly files: IngestFiles
  readonly store: IngestionStore
}

/** Brings blobs into a store. */
export class Ingestion {
  readonly #init: IngestionInit

  constructor(init: IngestionInit) {
    this.#init = init
  }

  async openWriter(options: WriterOptions): Promise<BlobWriter> {
    return (await this.#claim(options, () => false))!
  }

  async ingest(source: BlobSource, options: IngestOptions): Promise<Blob & { readonly reused: boolean }> {
    throwIfAborted(options, 'The ingest')
    const { expected, report = () => {} } = options
    const item = options.item ?? expected?.digest ?? 'blob'
    const meter = new ByteMeter(report, item, expected?.size ?? null)
    const digest = expected?.digest
    const arrived = () => (digest ? this.#init.store.stat(digest) : null)
    if (digest) options.lease.addBlob(digest)
    const onGrowth = (path: string, bytes: number) => {
      meter.set(bytes)
      options.onGrowth?.(path, bytes)
    }
    let blob: (Blob & { readonly reused: boolean }) | null = null
    if (!arrived()) {
      await using writer = await this.#claim({ ...options, onGrowth }, () => arrived() !== null)
      // Who had the file before us may have finished, or died between naming the blob and recording it.
      const came = arrived() !== null || (digest && (await this.#init.store.recover(digest, options)))
      if (writer && came) writer.drop()
      else if (writer) blob = await fill(writer, source, options)
    }
    const present = blob ?? (digest && arrived())
    // Removed by the hand of whoever wrote it: it was damaged.
    if (!present) return this.ingest(source, options)
    if (blob) meter.flush()
    report({ type: 'item-done', item, reused: blob?.reused ?? true })
    return { ...present, reused: blob?.reused ?? true }
  }

  /** Null when the blob arrived while its file was waited for. */
  async #claim(
    options: WriterOptions & Pick<IngestOptions, 'onGrowth'>,
    arrived: () => boolean,
  ): Promise<BlobWriter | null> {
    throwIfAborted(options, 'The ingest')
    const { files, layout } = this.#init
    const { ref, onGrowth, signal } = options
    const claimed = ref === undefined ? await this.#ownFile() : await files.claim(ref, { signal, arrived, onGrowth })
    if (!claimed) return null
    const writer = new BlobWriter({
      file: claimed.path,
      handle: claimed.handle,
      expected: options.expected ?? {},
      maxSize: options.maxSize ?? Number.POSITIVE_INFINITY,
      onGrowth,
      sink: {
        directory: layout.directory,
        announce: (digest) => {
          options.lease.addBlob(digest)
          return this.#init.store.has(digest)
        },
        fileOf: (digest) => layout.blob(digest),
        record: (blob) => this.#record(blob),
        abandon: async (unfinished) => {
          // The next attempt goes on from it.
          if (ref !== undefined && (statSync(unfinished, { throwIfNoEntry: false })?.size ?? 0) > 0) return
          await rm(unfinished, { force: true })
        },
      },
    })
    if (ref === undefined) return writer
    try {
      await writer.resume(options)
      return writer
    } catch (error) {
      await writer[Symbol.asyncDispose]()
      throw error
    }
  }

  async #ownFile(): Promise<IngestFile> {
    const path = this.#init.files.fresh()
    return { path, handle: await this.#init.files.open(path) }
  }

  // No fsync here: the record of the image that names the blob is durable and comes after it in the log.
  #record({ digest, size }: Blob): void {
    const sql =
      'INSERT INTO blobs (digest, size, created_at) VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE SET size = excluded.size'
    this.#init.db.transaction(() => this.#init.db.run(sql, digest, size, Date.now()), 'process')
  }
}

/** Takes the source from where the writer stands. What an earlier attempt left may be wrong: then all is taken anew. */
async function fill(writer: BlobWriter, source: BlobSource, options: IngestOptions) {
  const { expected, signal } = options
  const size = expected?.size
  if (writer.size > 0 && (typeof source !== 'function' || (size !== undefined && writer.size > size)))
    await writer.restart()
  const resumed = writer.size > 0
  try {
    if (writer.size === 0 || writer.size !== size) {
      const chunks = typeof source === 'function' ? await source(resumePoint(writer)) : source
      for await (const chunk of abortable(chunks, signal)) await writer.write(chunk)
    }
    return await writer.commit()
  } catch (error) {
    if (!resumed || typeof source !== 'function' || !isWrongBytes(error)) throw error
  }
  await writer.restart()
  for await (const chunk of abortable(await source(resumePoint(writer)), signal)) await writer.write(chunk)
  return writer.commit()
}

const isWrongBytes = (error: unknown): boolean => isEngineError(error) && error.code === 'content.digest_mismatch'

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
