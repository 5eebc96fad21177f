import { randomBytes } from 'node:crypto'
import type { Digest } from '../oci/digest.ts'
import type { Database } from '../state/database.ts'

/**
 * Keeps blobs and snapshots from collection while an operation has not yet named them. Ends with `release`, or with
 * the process that made it. Its records need no fsync: they protect the work of a living process only.
 */
export class Lease implements Disposable {
  readonly id: string
  readonly #db: Database
  readonly #blobs = new Set<Digest>()
  #released = false

  private constructor(db: Database, id: string) {
    this.#db = db
    this.id = id
  }

  static create(db: Database, owner: string): Lease {
    const id = randomBytes(12).toString('hex')
    db.transaction(
      () => db.run('INSERT INTO leases (id, owner, created_at) VALUES (?, ?, ?)', id, owner, Date.now()),
      'process',
    )
    return new Lease(db, id)
  }

  /** From here on the blob is safe, whether it is there yet or not. */
  addBlob(digest: Digest): void {
    if (this.#blobs.has(digest)) return
    this.#add('blob', digest)
    this.#blobs.add(digest)
  }

  addSnapshot(id: string): void {
    this.#add('snapshot', id)
  }

  get blobs(): readonly Digest[] {
    return [...this.#blobs]
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#db.transaction(() => this.#db.run('DELETE FROM leases WHERE id = ?', this.id), 'process')
  }

  [Symbol.dispose](): void {
    this.release()
  }

  #add(kind: 'blob' | 'snapshot', item: string): void {
    if (this.#released) throw new Error(`lease ${this.id} has been released`)
    this.#db.transaction(
      () => this.#db.run('INSERT OR IGNORE INTO lease_items (lease, kind, item) VALUES (?, ?, ?)', this.id, kind, item),
      'process',
    )
  }
}
