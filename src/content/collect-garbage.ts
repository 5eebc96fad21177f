import { renameSync, rmSync, statSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { Database } from '../state/database.ts'
import type { Owners } from '../state/owners.ts'
import type { ContentLayout } from './content-layout.ts'
import type { IngestFiles } from './ingest-files.ts'
import type { Lease } from './lease.ts'

export interface GarbageOptions extends CallOptions {
  /** Partial blobs younger than this stay for another attempt. Milliseconds; default one week. */
  readonly partialMaxAgeMs?: number | undefined
}

export interface GarbageReport {
  readonly removed: readonly Digest[]
  /** Of blobs and of partial ones. */
  readonly freedBytes: number
}

const week = 7 * 24 * 3600 * 1000
const batch = 128

const unneeded = (column: string) => `
  NOT EXISTS (SELECT 1 FROM image_blobs WHERE image_blobs.digest = ${column})
  AND NOT EXISTS (SELECT 1 FROM images WHERE images.manifest = ${column})
  AND NOT EXISTS (SELECT 1 FROM lease_items WHERE kind = 'blob' AND item = ${column})`

/**
 * Mark and sweep, with the records as the only judge. Two steps, each under a write transaction, so that no other
 * process can name a blob in between: (1) rows that no image and no lease needs go; (2) files without a row and
 * without a lease are renamed away while the transaction holds, and unlinked after it. An ingest takes its lease on
 * the digest before it renames the blob into place, so step 2 never takes a file that somebody has just made.
 * A kill between the steps leaves files without rows: the next run's step 2.
 */
export class GarbageCollector {
  readonly #db: Database
  readonly #layout: ContentLayout
  readonly #files: IngestFiles
  readonly #owners: Owners

  constructor(db: Database, layout: ContentLayout, files: IngestFiles, owners: Owners) {
    this.#db = db
    this.#layout = layout
    this.#files = files
    this.#owners = owners
  }

  async collect(options: GarbageOptions = {}): Promise<GarbageReport> {
    throwIfAborted(options, 'Garbage collection')
    const dead = this.#owners.dead().map((owner) => owner.id)
    const rows = this.#db.transaction(() => {
      for (const owner of dead) this.#db.run('DELETE FROM leases WHERE owner = ?', owner)
      return this.#db.all<{ digest: Digest }>(`DELETE FROM blobs WHERE ${unneeded('blobs.digest')} RETURNING digest`)
    }, 'process')
    const removed = new Set(rows.map((row) => row.digest))
    let freedBytes = 0
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const names = await readdir(this.#layout.blobs(algorithm))
      for (let at = 0; at < names.length; at += batch) {
        throwIfAborted(options, 'Garbage collection')
        const digests = names.slice(at, at + batch).flatMap((name) => this.#layout.digestOfFile(algorithm, name) ?? [])
        const swept = this.#sweep(digests)
        freedBytes += swept.freedBytes
        for (const digest of swept.digests) removed.add(digest)
      }
    }
    freedBytes += this.#files.sweep(options.partialMaxAgeMs ?? week)
    return { removed: [...removed], freedBytes }
  }

  /**
   * Ends a lease together with the blobs that only it needed. Their files go first: on a full disk the records cannot
   * be changed before.
   */
  discard(lease: Lease): void {
    const sql = `SELECT 1 FROM lease_items WHERE kind = 'blob' AND item = ?1 AND lease <> ?2
      UNION ALL SELECT 1 FROM image_blobs WHERE digest = ?1 UNION ALL SELECT 1 FROM images WHERE manifest = ?1`
    this.#db.transaction(() => {
      const free = lease.blobs.filter((digest) => this.#db.get(sql, digest, lease.id) === undefined)
      for (const digest of free) rmSync(this.#layout.blob(digest), { force: true })
      for (const digest of free) this.#db.run('DELETE FROM blobs WHERE digest = ?', digest)
      this.#db.run('DELETE FROM leases WHERE id = ?', lease.id)
    }, 'process')
    lease.release()
  }

  /** What `collect` does, for some digests only: what a failed or finished operation has brought and nobody needs. */
  collectOnly(digests: readonly Digest[]): GarbageReport {
    if (digests.length === 0) return { removed: [], freedBytes: 0 }
    this.#forgetUnneeded(digests)
    const { digests: removed, freedBytes } = this.#sweep(digests)
    return { removed, freedBytes }
  }

  /** Like `collectOnly`; deleting large files does not hold the event loop up. */
  async collectLater(digests: readonly Digest[]): Promise<GarbageReport> {
    if (digests.length === 0) return { removed: [], freedBytes: 0 }
    this.#forgetUnneeded(digests)
    const { digests: removed, freedBytes, away } = this.#takeAway(digests)
    await Promise.all(away.map((file) => rm(file, { force: true })))
    return { removed, freedBytes }
  }

  #forgetUnneeded(digests: readonly Digest[]): void {
    this.#db.transaction(() => {
      for (const digest of digests)
        this.#db.run(`DELETE FROM blobs WHERE digest = ? AND ${unneeded('blobs.digest')}`, digest)
    }, 'process')
  }

  #sweep(digests: readonly Digest[]): { freedBytes: number; digests: Digest[] } {
    const taken = this.#takeAway(digests)
    for (const file of taken.away) rmSync(file, { force: true })
    return taken
  }

  #takeAway(digests: readonly Digest[]): { freedBytes: number; digests: Digest[]; away: string[] } {
    const away: string[] = []
    const gone: Digest[] = []
    let freedBytes = 0
    const known = this.#known(digests)
    const candidates = digests.filter((digest) => !known.has(digest))
    if (candidates.length === 0) return { freedBytes, digests: gone, away }
    this.#db.transaction(() => {
      for (const digest of candidates) {
        const row = this.#db.get<{ free: number }>(
          `SELECT NOT EXISTS (SELECT 1 FROM blobs WHERE digest = ?1) AND ${unneeded('?1')} AS free`,
          digest,
        )
        if (row?.free !== 1) continue
        const file = this.#layout.blob(digest)
        const facts = statSync(file, { throwIfNoEntry: false })
        if (!facts) continue
        const trash = this.#files.fresh()
        renameSync(file, trash)
        away.push(trash)
        gone.push(digest)
        freedBytes += facts.size
      }
    }, 'process')
    return { freedBytes, digests: gone, away }
  }

  /** Saves taking the write lock when there is nothing to do; the sweep asks again under it. */
  #known(digests: readonly Digest[]): Set<Digest> {
    const rows = this.#db.all<{ digest: Digest }>(
      'SELECT digest FROM blobs WHERE digest IN (SELECT value FROM json_each(?))',
      JSON.stringify(digests),
    )
    return new Set(rows.map((row) => row.digest))
  }
}
