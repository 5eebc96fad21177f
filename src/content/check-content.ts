import { readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { contentErrors } from '../errors/content-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { Database } from '../state/database.ts'
import { readVerified } from './blob-reader.ts'
import type { GarbageCollector } from './collect-garbage.ts'
import type { ContentLayout } from './content-layout.ts'
import type { IngestFiles } from './ingest-files.ts'

/** Where records and files of blobs disagree. */
export interface BlobProblem {
  readonly kind: 'missing_blob' | 'damaged_blob' | 'unrecorded_blob'
  /** The digest. */
  readonly id: string
  readonly message: string
  readonly repaired: boolean
}

export interface CheckContentOptions extends CallOptions {
  readonly repair?: boolean | undefined
  /** Reads every blob and compares it with its digest; else only sizes are compared. Default false. */
  readonly contents?: boolean | undefined
}

/** Compares the records of blobs with their files. Safe beside processes that load and collect. */
export class ContentCheck {
  readonly #db: Database
  readonly #layout: ContentLayout
  readonly #files: IngestFiles
  readonly #garbage: GarbageCollector

  constructor(db: Database, layout: ContentLayout, files: IngestFiles, garbage: GarbageCollector) {
    this.#db = db
    this.#layout = layout
    this.#files = files
    this.#garbage = garbage
  }

  async run(options: CheckContentOptions): Promise<readonly BlobProblem[]> {
    // The files first: one that comes later is leased until it is recorded.
    const files = this.digests()
    const problems: BlobProblem[] = []
    for (const { digest, size } of this.#db.all<{ digest: Digest; size: number }>('SELECT digest, size FROM blobs')) {
      throwIfAborted(options, 'Checking blobs')
      const problem = await this.#recorded(digest, size, options)
      if (problem) problems.push(problem)
    }
    for (const digest of files) {
      throwIfAborted(options, 'Checking blobs')
      const problem = await this.#unrecorded(digest, options)
      if (problem) problems.push(problem)
    }
    return problems
  }

  /** All that lie in the store, recorded or not. */
  digests(): Digest[] {
    return (['sha256', 'sha512'] as const).flatMap((algorithm) =>
      readdirSync(this.#layout.blobs(algorithm)).flatMap((name) => this.#layout.digestOfFile(algorithm, name) ?? []),
    )
  }

  /** Records what writers that died had named, verified and durable, and not yet recorded. */
  adopt(owners: readonly string[]): void {
    const sql = `
      SELECT DISTINCT item FROM lease_items JOIN leases ON leases.id = lease_items.lease
      WHERE kind = 'blob' AND owner IN (SELECT value FROM json_each(?))
        AND NOT EXISTS (SELECT 1 FROM blobs WHERE digest = item)`
    for (const { item } of this.#db.all<{ item: Digest }>(sql, JSON.stringify(owners))) {
      const size = this.#sizeOf(item)
      if (size !== null) this.#record(item, size)
    }
  }

  /** Records a file whose bytes are its digest's; false when they are not, or when there is none. */
  async recover(digest: Digest, call: CallOptions = {}): Promise<boolean> {
    const size = await this.#verifiedSize(digest, call)
    if (size === null) return false
    this.#record(digest, size)
    return true
  }

  #record(digest: Digest, size: number): void {
    const sql = 'INSERT OR IGNORE INTO blobs (digest, size, created_at) VALUES (?, ?, ?)'
    this.#db.transaction(() => this.#db.run(sql, digest, size, Date.now()), 'process')
  }

  async #recorded(digest: Digest, size: number, options: CheckContentOptions): Promise<BlobProblem | null> {
    const found = this.#sizeOf(digest)
    if (found === size && !options.contents) return null
    if (found === size && (await this.#verifiedSize(digest, options)) === size) return null
    // Collected meanwhile.
    if (!this.#isRecorded(digest)) return null
    if (options.repair) this.#drop(digest)
    return {
      kind: found === null ? 'missing_blob' : 'damaged_blob',
      id: digest,
      message:
        found === null
          ? `The blob ${digest} is recorded, but its file is gone. Load or pull its image again.`
          : `The blob ${digest} has changed on disk. Load or pull its image again, and look at the disk.`,
      repaired: options.repair === true,
    }
  }

  async #unrecorded(digest: Digest, options: CheckContentOptions): Promise<BlobProblem | null> {
    if (this.#isRecorded(digest) || this.#isLeased(digest) || this.#sizeOf(digest) === null) return null
    const needed = this.#isNeeded(digest)
    const whole = needed && options.repair ? await this.recover(digest, options) : false
    if (options.repair && !whole) this.#discard(digest)
    return {
      kind: 'unrecorded_blob',
      id: digest,
      message: needed
        ? `The blob ${digest} is here and not recorded${options.repair && !whole ? '; its bytes are damaged' : ''}.`
        : `The file of blob ${digest} belongs to no image. It only takes up space.`,
      repaired: options.repair === true,
    }
  }

  /** Null when the bytes are not the digest's. */
  async #verifiedSize(digest: Digest, call: CallOptions): Promise<number | null> {
    const size = this.#sizeOf(digest)
    if (size === null) return null
    try {
      for await (const _ of readVerified(this.#layout.blob(digest), { digest, size }, call));
      return size
    } catch (error) {
      const codes = ['content.digest_mismatch', 'content.damaged']
      if (isEngineError(error) && codes.includes(error.code)) return null
      throw error
    }
  }

  /** Without row and file the next load brings the blob anew. */
  #drop(digest: Digest): void {
    this.#db.transaction(() => {
      this.#db.run('DELETE FROM blobs WHERE digest = ?', digest)
      this.#moveAway(digest)
    })
  }

  #discard(digest: Digest): void {
    if (this.#isNeeded(digest)) this.#moveAway(digest)
    else this.#garbage.collectOnly([digest])
  }

  #moveAway(digest: Digest): void {
    const trash = this.#files.fresh()
    try {
      renameSync(this.#layout.blob(digest), trash)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw contentErrors.error('damaged', {
        message: `The damaged blob ${digest} cannot be taken away.`,
        subject: { type: 'blob', id: digest },
        cause: error,
      })
    }
    rmSync(trash, { force: true })
  }

  #sizeOf(digest: Digest): number | null {
    return statSync(this.#layout.blob(digest), { throwIfNoEntry: false })?.size ?? null
  }

  #isRecorded(digest: Digest): boolean {
    return this.#db.get('SELECT 1 FROM blobs WHERE digest = ?', digest) !== undefined
  }

  #isLeased(digest: Digest): boolean {
    return this.#db.get("SELECT 1 FROM lease_items WHERE kind = 'blob' AND item = ?", digest) !== undefined
  }

  #isNeeded(digest: Digest): boolean {
    const sql = 'SELECT 1 FROM images WHERE manifest = ?1 UNION SELECT 1 FROM image_blobs WHERE digest = ?1'
    return this.#db.get(sql, digest) !== undefined
  }
}
