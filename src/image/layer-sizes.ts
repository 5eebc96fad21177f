import type { Digest } from '../oci/digest.ts'
import type { Database } from '../state/database.ts'

/** What the regular files of layers hold, by diff id; known of layers that were unpacked or made here. */
export class LayerSizes {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  /** Bytes; the files of one diff id never change. */
  record(diffId: Digest, bytes: number): void {
    this.#db.transaction(
      () => this.#db.run('INSERT OR IGNORE INTO layers (diff_id, bytes) VALUES (?, ?)', diffId, bytes),
      'process',
    )
  }

  /** Null when it was never unpacked under these records. */
  get(diffId: Digest): number | null {
    return this.#db.get<{ bytes: number }>('SELECT bytes FROM layers WHERE diff_id = ?', diffId)?.bytes ?? null
  }

  all(): ReadonlyMap<string, number> {
    const rows = this.#db.all<{ diff_id: string; bytes: number }>('SELECT diff_id, bytes FROM layers')
    return new Map(rows.map((row) => [row.diff_id, row.bytes]))
  }

  /** Forgets layers of no image, unless somebody is just bringing some. */
  forgetUnneeded(): void {
    this.#db.transaction(
      () =>
        this.#db.run(
          `DELETE FROM layers WHERE diff_id NOT IN (SELECT diff_id FROM image_blobs WHERE diff_id IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM leases)`,
        ),
      'process',
    )
  }
}
