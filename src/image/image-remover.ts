import type { Digest } from '../oci/digest.ts'
import { familiarName, parseReference } from '../reference/reference.ts'
import type { Database } from '../state/database.ts'
import type { EventJournal } from '../state/event-journal.ts'
import type { ImageOwners } from './image-owners.ts'
import type { ImageQueries } from './image-queries.ts'
import { type ImageRecord, isTagged } from './image-record.ts'
import { type ImageUser, planRemoval } from './removal-rules.ts'

/** What a removal took away of the records. */
export interface ImageRemoval {
  /** Canonical names that are gone. */
  readonly untagged: readonly string[]
  /** Ids of images that are gone. */
  readonly deleted: readonly Digest[]
  /** What only they may have needed, and what is now to be freed; recorded in `removals` until that is done. */
  readonly items: readonly RemovedItem[]
}

/** A blob by its digest, or an unpacked layer by its chain id; layers of one image from the top down. */
export interface RemovedItem {
  readonly kind: 'blob' | 'snapshot'
  readonly item: Digest
  /** Of a layer: what its files hold; 0 when that is not known, and for blobs, whose files tell. */
  readonly bytes: number
}

export interface RemoveRules {
  /** Default false. */
  readonly force?: boolean | undefined
  /** Keeps images without a name that the removed one was made from. Default false. */
  readonly noPrune?: boolean | undefined
}

/** Which of the images that were found are removed: `dangling`, only those that still have no tag and no child. */
export type PruneScope = 'dangling' | 'unused'

/** Takes names and images out of the records, by Docker's rules. Every method runs inside a transaction of its caller. */
export class ImageRemover {
  readonly #db: Database
  readonly #journal: EventJournal
  readonly #queries: ImageQueries
  readonly #owners: ImageOwners
  readonly #usersOf: (id: Digest) => readonly ImageUser[]

  constructor(parts: {
    db: Database
    journal: EventJournal
    queries: ImageQueries
    owners: ImageOwners
    usersOf: (id: Digest) => readonly ImageUser[]
  }) {
    this.#db = parts.db
    this.#journal = parts.journal
    this.#queries = parts.queries
    this.#owners = parts.owners
    this.#usersOf = parts.usersOf
  }

  /** @throws `image.in_use`, `image.several_names`, `image.has_children` */
  remove(record: ImageRecord, name: string | null, { force = false, noPrune = false }: RemoveRules): ImageRemoval {
    const removal = new Collected()
    const children = this.#queries.childrenOf(record.id)
    const plan = planRemoval(record, name, { users: this.#usersOf(record.id), children, force })
    this.#unnameAll(plan.untag, record.id, removal)
    if (plan.remove) this.#delete(record, removal, !noPrune)
    return removal
  }

  /** Removes those of the images that fit the scope now and that no container and no other image needs. */
  prune(ids: readonly Digest[], scope: PruneScope): ImageRemoval {
    const removal = new Collected()
    let left = ids
    // An image goes after those made from it.
    for (let before = -1; left.length !== before; ) {
      before = left.length
      left = left.filter((id) => !this.#pruneOne(id, scope, removal))
    }
    return removal
  }

  /** Gives what of the image went with the name. */
  unname(name: string, id: Digest): readonly RemovedItem[] {
    this.#db.run('DELETE FROM image_names WHERE name = ?', name)
    const items = this.#dropUnseen(id)
    this.#tellUntagged(name, id)
    return items
  }

  #unnameAll(names: readonly string[], id: Digest, removal: Collected): void {
    for (const name of names) removal.items.push(...this.unname(name, id))
    removal.untagged.push(...names)
  }

  /** A second packing of a named image that lost its own last name would be out of everybody's sight. */
  #dropUnseen(id: Digest): readonly RemovedItem[] {
    const unseen = this.#db.all<{ manifest: Digest }>(
      `SELECT manifest FROM images WHERE id = ?1
       AND NOT EXISTS (SELECT 1 FROM image_names WHERE image_names.manifest = images.manifest)
       AND EXISTS (SELECT 1 FROM images AS other JOIN image_names ON image_names.manifest = other.manifest WHERE other.id = ?1)`,
      id,
    )
    const items = unseen.flatMap(({ manifest }) => this.#queries.blobsOf(manifest))
    for (const { manifest } of unseen) this.#db.run('DELETE FROM images WHERE manifest = ?', manifest)
    this.#recordItems(items)
    return items
  }

  #recordItems(items: readonly RemovedItem[]): void {
    for (const { kind, item } of items)
      this.#db.run('INSERT OR IGNORE INTO removals (kind, item) VALUES (?, ?)', kind, item)
  }

  #tellUntagged(name: string, id: Digest): void {
    if (!isTagged(name)) return
    const shown = familiarName(parseReference(name))
    this.#journal.append({ type: 'image', action: 'untag', subject: id, attributes: { name: shown } })
  }

  /** True when it is gone. */
  #pruneOne(id: Digest, scope: PruneScope, removal: Collected): boolean {
    const record = this.#queries.byDigest(id)
    if (!record) return true
    if (scope === 'dangling' && record.names.some(isTagged)) return false
    if (this.#usersOf(id).length > 0 || this.#queries.childrenOf(id).length > 0) return false
    this.#unnameAll(record.names, id, removal)
    this.#delete(record, removal, false)
    return true
  }

  #delete(record: ImageRecord, removal: Collected, withParents: boolean): void {
    // Before the records go that say it.
    const items = this.#queries.itemsOf(record)
    this.#recordItems(items)
    removal.items.push(...items)
    this.#db.run('DELETE FROM images WHERE id = ?', record.id)
    this.#owners.forget(record.id)
    removal.deleted.push(record.id)
    this.#journal.append({ type: 'image', action: 'delete', subject: record.id })
    if (!withParents || record.parent === null) return
    const parent = this.#queries.byDigest(record.parent)
    if (!parent || parent.names.some(isTagged)) return
    if (this.#usersOf(parent.id).length > 0 || this.#queries.childrenOf(parent.id).length > 0) return
    this.#unnameAll(parent.names, parent.id, removal)
    this.#delete(parent, removal, true)
  }
}

class Collected implements ImageRemoval {
  readonly untagged: string[] = []
  readonly deleted: Digest[] = []
  readonly items: RemovedItem[] = []
}
