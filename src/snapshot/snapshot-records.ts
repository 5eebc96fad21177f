import { storageErrors } from '../errors/storage-errors.ts'
import type { Database, Durability } from '../state/database.ts'
import { recordChains } from '../state/schema/image-chains.ts'

export type DraftKind = 'container' | 'layer' | 'view'

export type DraftRow = {
  readonly id: string
  readonly kind: DraftKind
  readonly parent: string | null
  readonly owner: string
  readonly created_at: number
}

export type SnapshotRow = { readonly id: string; readonly parent: string | null }

/** The tables `snapshots` and `drafts`, as far as one driver's trees go. */
export class SnapshotRecords {
  readonly #db: Database
  readonly #driver: string

  constructor(db: Database, driver: string) {
    this.#db = db
    this.#driver = driver
  }

  /** Whether there is any. */
  holdsTrees(): boolean {
    return ['snapshots', 'drafts'].some(
      (table) => this.#db.get(`SELECT 1 FROM ${table} WHERE driver = ? LIMIT 1`, this.#driver) !== undefined,
    )
  }

  hasSnapshot(id: string): boolean {
    return this.#db.get('SELECT 1 FROM snapshots WHERE driver = ? AND id = ?', this.#driver, id) !== undefined
  }

  snapshots(): SnapshotRow[] {
    return this.#db.all<SnapshotRow>('SELECT id, parent FROM snapshots WHERE driver = ?', this.#driver)
  }

  /** Whether the snapshot is there; if so the lease holds it from now on. */
  claimSnapshot(id: string, lease: string | undefined): boolean {
    if (lease === undefined) return this.hasSnapshot(id)
    return this.#db.transaction(() => {
      if (!this.hasSnapshot(id)) return false
      this.#addToLease(id, lease)
      return true
    }, 'process')
  }

  /** Records a committed snapshot; the draft that it was made from is gone. */
  addSnapshot(id: string, parent: string | null, lease: string | undefined, draft: string | null): void {
    this.#db.transaction(() => {
      this.#db.run(
        'INSERT OR IGNORE INTO snapshots (driver, id, parent, created_at) VALUES (?, ?, ?, ?)',
        this.#driver,
        id,
        parent,
        Date.now(),
      )
      if (lease !== undefined) this.#addToLease(id, lease)
      if (draft !== null) this.#deleteDraft(draft)
    })
  }

  setParent(id: string, parent: string | null): void {
    this.#db.transaction(() =>
      this.#db.run('UPDATE snapshots SET parent = ? WHERE driver = ? AND id = ?', parent, this.#driver, id),
    )
  }

  deleteSnapshot(id: string): void {
    this.#db.transaction(() => this.#db.run('DELETE FROM snapshots WHERE driver = ? AND id = ?', this.#driver, id))
  }

  /** Deletes the row unless a draft, a snapshot, an image or a lease needs it; false then. */
  deleteSnapshotIfUnused(id: string): boolean {
    return this.#db.transaction(() => {
      recordChains(this.#db)
      if (this.#isUsed(id)) return false
      this.deleteSnapshot(id)
      return true
    })
  }

  leased(): string[] {
    return this.#db
      .all<{ item: string }>("SELECT item FROM lease_items WHERE kind = 'snapshot'")
      .map(({ item }) => item)
  }

  /** @throws `storage.not_found` when the parent is not there, `storage.already_exists` */
  addDraft(draft: Omit<DraftRow, 'created_at'>, durability: Durability): void {
    const { id, kind, parent, owner } = draft
    this.#db.transaction(() => {
      if (parent !== null && !this.hasSnapshot(parent))
        throw storageErrors.error('not_found', {
          message: `The layers of chain ${parent} are not unpacked. Load or pull the image again.`,
          subject: { type: 'snapshot', id: parent },
        })
      const { changes } = this.#db.run(
        'INSERT OR IGNORE INTO drafts (driver, id, kind, parent, owner, created_at) VALUES (?, ?, ?, ?, ?, ?)',
        this.#driver,
        id,
        kind,
        parent,
        owner,
        Date.now(),
      )
      if (changes === 0)
        throw storageErrors.error('already_exists', {
          message: `A draft ${id} exists already. Remove it first.`,
          subject: { type: 'draft', id },
        })
    }, durability)
  }

  deleteDraft(id: string, durability: Durability): void {
    this.#db.transaction(() => this.#deleteDraft(id), durability)
  }

  drafts(): DraftRow[] {
    return this.#db.all<DraftRow>(
      'SELECT id, kind, parent, owner, created_at FROM drafts WHERE driver = ?',
      this.#driver,
    )
  }

  /**
   * Drafts that nobody will remove: their owner is dead, and for a container's root no container is recorded. (A
   * recorded container decides itself what becomes of its root.)
   */
  orphanedDrafts(deadOwners: ReadonlySet<string>): DraftRow[] {
    const known = new Set(this.#db.all<{ id: string }>('SELECT id FROM owners').map(({ id }) => id))
    return this.drafts().filter(
      (draft) =>
        (deadOwners.has(draft.owner) || !known.has(draft.owner)) &&
        !(draft.kind === 'container' && this.#db.get('SELECT 1 FROM containers WHERE id = ?', draft.id)),
    )
  }

  #isUsed(id: string): boolean {
    const has = (sql: string, ...values: string[]) => this.#db.get(sql, ...values) !== undefined
    return (
      has('SELECT 1 FROM drafts WHERE driver = ? AND parent = ?', this.#driver, id) ||
      has('SELECT 1 FROM snapshots WHERE driver = ? AND parent = ?', this.#driver, id) ||
      has('SELECT 1 FROM images WHERE chain = ?', id) ||
      has("SELECT 1 FROM lease_items WHERE kind = 'snapshot' AND item = ?", id)
    )
  }

  #addToLease(id: string, lease: string): void {
    this.#db.run("INSERT OR IGNORE INTO lease_items (lease, kind, item) VALUES (?, 'snapshot', ?)", lease, id)
  }

  #deleteDraft(id: string): void {
    this.#db.run('DELETE FROM drafts WHERE driver = ? AND id = ?', this.#driver, id)
  }
}
