import type { Digest } from '../oci/digest.ts'
import type { Database } from '../state/database.ts'

/**
 * `process`: the image goes with the process that brought or made it. `kept`: it stays until it is removed.
 */
export type ImageLifetime = 'process' | 'kept'

export const imageLifetimes: readonly ImageLifetime[] = ['process', 'kept']

/**
 * Which images go with their processes. An image of lifetime `process` has an owner for each process that asked for it;
 * one without owners is kept. Every method but `lifetimeOf` runs inside a transaction of its caller.
 */
export class ImageOwners {
  readonly #db: Database
  readonly #self: string

  constructor(db: Database, self: string) {
    this.#db = db
    this.#self = self
  }

  lifetimeOf(id: Digest): ImageLifetime {
    return this.#isOwned(id) ? 'process' : 'kept'
  }

  /** Before the image is recorded: one that was here and kept stays so, and wanting to keep it counts more. */
  note(id: Digest, lifetime: ImageLifetime): void {
    const isHere = this.#db.get('SELECT 1 FROM images WHERE id = ?', id) !== undefined
    // An image that is gone leaves its owners nothing.
    if (lifetime === 'kept' || !isHere) this.forget(id)
    if (lifetime === 'process' && (!isHere || this.#isOwned(id)))
      this.#db.run('INSERT OR IGNORE INTO image_owners (image, owner) VALUES (?, ?)', id, this.#self)
  }

  /** Makes it a kept one. */
  forget(id: Digest): void {
    this.#db.run('DELETE FROM image_owners WHERE image = ?', id)
  }

  /** Images whose owners are all gone. */
  abandoned(isGone: (owner: string) => boolean): Digest[] {
    const rows = this.#db.all<{ image: Digest; owner: string }>('SELECT image, owner FROM image_owners ORDER BY image')
    const gone = new Map<string, boolean>()
    for (const { owner } of rows) if (!gone.has(owner)) gone.set(owner, isGone(owner))
    return [...Map.groupBy(rows, ({ image }) => image)]
      .filter(([, owners]) => owners.every(({ owner }) => gone.get(owner)))
      .map(([image]) => image)
  }

  #isOwned(id: Digest): boolean {
    return this.#db.get('SELECT 1 FROM image_owners WHERE image = ?', id) !== undefined
  }
}
