import type { ContentStore } from '../content/content-store.ts'
import type { Lease } from '../content/lease.ts'
import { imageErrors } from '../errors/image-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { parseImageSelector } from '../reference/image-selector.ts'
import { canonicalName, familiarName, normalizeName, parseReference, withDefaultTag } from '../reference/reference.ts'
import type { Database } from '../state/database.ts'
import type { EventJournal } from '../state/event-journal.ts'
import { type CheckedImage, checkImage } from './check-image.ts'
import { ImageIndex, type IndexedImage } from './image-index.ts'
import { ImageQueries } from './image-queries.ts'
import type { ImageRecord, ManifestRecord } from './image-record.ts'
import { type ImageUser, planRemoval, type RemovalPlan } from './removal-rules.ts'

export interface ImageStoreInit {
  readonly db: Database
  readonly content: ContentStore
  readonly journal: EventJournal
  /** Containers made from an image id. Synchronous: it is asked inside the transaction that removes the image. */
  readonly usersOf: (id: Digest) => readonly ImageUser[]
}

export interface CreateImageOptions extends CallOptions {
  /** Any spelling; a name that another image has moves to this one. */
  readonly names?: readonly string[] | undefined
  /** Holds the image's blobs until they are recorded here. */
  readonly lease: Lease
}

/** What a removal took away. */
export interface RemoveImageReport {
  /** Canonical names that are gone. */
  readonly untagged: readonly string[]
  /** Ids of images that are gone. Their blobs go with the next collection. */
  readonly deleted: readonly Digest[]
}

/** Which images there are and what they are called. The bytes are the content store's. */
export class ImageStore {
  /** The copy of the records beside the blobs. */
  readonly index: ImageIndex
  readonly #db: Database
  readonly #content: ContentStore
  readonly #journal: EventJournal
  readonly #usersOf: ImageStoreInit['usersOf']
  readonly #queries: ImageQueries

  constructor(init: ImageStoreInit) {
    this.#db = init.db
    this.#content = init.content
    this.#journal = init.journal
    this.#usersOf = init.usersOf
    this.#queries = new ImageQueries(init.db, init.content)
    this.index = new ImageIndex(init.content.indexFile, init.db)
  }

  /**
   * Records an image whose manifest, configuration and layers are in the content store. Durable when it resolves.
   * Recording it again adds the names.
   *
   * @throws `image.bad_manifest`, `content.not_found` when a blob is missing
   */
  async create(manifest: ManifestRecord, options: CreateImageOptions): Promise<ImageRecord> {
    const [record] = await this.createAll([{ manifest, names: options.names ?? [] }], options)
    return record!
  }

  /** Records several images at once: all of them or, when one is wrong, none. @throws as `create` */
  async createAll(
    images: readonly { readonly manifest: ManifestRecord; readonly names: readonly string[] }[],
    options: Omit<CreateImageOptions, 'names'> & { readonly action?: 'load' | 'import' | 'pull' | undefined },
  ): Promise<ImageRecord[]> {
    const checked: CheckedImage[] = []
    for (const { manifest, names } of images)
      checked.push({ ...(await checkImage(manifest, this.#content, options)), names: names.map(normalizeName) })
    this.#db.transaction(() => {
      for (const image of checked) {
        this.#insert(image)
        for (const name of new Set(image.names)) this.#name(name, image.manifest.digest, image.id)
        if (options.action) this.#journal.append({ type: 'image', action: options.action, subject: image.id })
      }
      this.index.write()
    })
    return checked.map((image) => this.#queries.byManifest(image.manifest.digest)!)
  }

  /** Records images again as the index says; all in one transaction. Their blobs are recorded and held by the lease. */
  async restore(images: readonly IndexedImage[], options: CallOptions & { readonly lease: Lease }): Promise<void> {
    const checked: CheckedImage[] = []
    for (const { manifest, names } of images)
      checked.push({ ...(await checkImage(manifest, this.#content, options)), names: names.map(normalizeName) })
    this.#db.transaction(() => {
      for (const [at, image] of checked.entries()) {
        this.#insert(image, images[at]?.addedAt ?? new Date())
        for (const name of new Set(image.names)) this.#name(name, image.manifest.digest, image.id)
      }
      this.index.write()
    })
  }

  /** The image a name, id or id prefix stands for; null when there is none. @throws `image.ambiguous`, `reference.*` */
  find(text: string): ImageRecord | null {
    const selector = parseImageSelector(text)
    if (selector.id) return this.#queries.byDigest(selector.id)
    if (selector.reference) {
      const named = this.#queries.byReference(selector.reference)
      if (named) return named
    }
    if (selector.idPrefix === null) return null
    const ids = this.#queries.idsFrom(selector.idPrefix)
    if (ids.length > 1)
      throw imageErrors.error('ambiguous', {
        message: `"${text}" is the beginning of ${ids.length} image ids: ${ids.slice(0, 5).join(', ')}. Give more digits.`,
        subject: { type: 'image', id: text },
        details: { candidates: ids },
      })
    return ids.length === 1 ? this.#queries.byDigest(ids[0]!) : null
  }

  /** @throws `image.not_found`, and what `find` throws */
  resolve(text: string): ImageRecord {
    const record = this.find(text)
    if (record) return record
    throw imageErrors.error('not_found', {
      message: `There is no image "${text}" here. Load or pull it first.`,
      subject: { type: 'image', id: text },
    })
  }

  /** One record per id, the newest first. */
  list(): ImageRecord[] {
    return this.#queries.all()
  }

  /** Gives an image one more name, or moves the name here. @throws `image.digest_name`, `image.not_found`, `reference.*` */
  tag(image: ImageRecord, name: string): void {
    const reference = withDefaultTag(parseReference(name))
    if (reference.digest)
      throw imageErrors.error('digest_name', {
        message: `"${name}" has a digest; a digest cannot be given to an image. Use a name with a tag.`,
        subject: { type: 'reference', id: name },
      })
    this.#db.transaction(() => {
      if (!this.#queries.byManifest(image.manifest.digest))
        throw imageErrors.error('not_found', {
          message: `The image ${image.id} has been removed meanwhile.`,
          subject: { type: 'image', id: image.id },
        })
      this.#name(canonicalName(reference), image.manifest.digest, image.id)
      this.index.write()
    })
  }

  /** Takes a name away; the image stays, perhaps without a name. False when there is no such name. */
  untag(name: string): boolean {
    const canonical = normalizeName(name)
    return this.#db.transaction(() => {
      const record = this.#queries.byReference(parseReference(canonical))
      if (!record?.names.includes(canonical)) return false
      this.#unname(canonical, record.id)
      this.index.write()
      return true
    })
  }

  /**
   * Removes a name, and the image with its last name; by id, the image with all its names (several need `force`). Rules
   * as Docker's: images of running containers stay; those of stopped ones need `force`.
   *
   * @throws `image.not_found`, `image.in_use`, `image.several_names`, `image.ambiguous`
   */
  remove(text: string, options: { readonly force?: boolean | undefined } = {}): RemoveImageReport {
    return this.#db.transaction(() => {
      const record = this.resolve(text)
      const name = this.#nameMeant(text, record)
      const plan = planRemoval(record, name, this.#usersOf(record.id), options.force ?? false)
      const report = this.#carryOut(plan, record)
      this.index.write()
      return report
    })
  }

  #insert({ manifest, id, blobs }: CheckedImage, addedAt = new Date()): void {
    this.#db.run(
      'INSERT OR IGNORE INTO images (manifest, id, media_type, manifest_size, created_at) VALUES (?, ?, ?, ?, ?)',
      manifest.digest,
      id,
      manifest.mediaType,
      manifest.size,
      addedAt.getTime(),
    )
    for (const [position, { digest, diffId }] of blobs.entries())
      this.#db.run(
        'INSERT OR IGNORE INTO image_blobs (manifest, digest, diff_id, position) VALUES (?, ?, ?, ?)',
        manifest.digest,
        digest,
        diffId,
        position,
      )
  }

  #carryOut(plan: RemovalPlan, record: ImageRecord): RemoveImageReport {
    for (const name of plan.untag) this.#unname(name, record.id)
    if (!plan.remove) return { untagged: plan.untag, deleted: [] }
    for (const manifest of record.manifests) this.#db.run('DELETE FROM images WHERE manifest = ?', manifest)
    this.#journal.append({ type: 'image', action: 'delete', subject: record.id })
    return { untagged: plan.untag, deleted: [record.id] }
  }

  /** The recorded name that a text stands for; null when it is an id. */
  #nameMeant(text: string, record: ImageRecord): string | null {
    const { reference } = parseImageSelector(text)
    if (!reference) return null
    const canonical = canonicalName(withDefaultTag(reference))
    return record.names.includes(canonical) ? canonical : null
  }

  #name(name: string, manifest: Digest, id: Digest): void {
    const before = this.#db.get<{ manifest: string }>('SELECT manifest FROM image_names WHERE name = ?', name)
    if (before?.manifest === manifest) return
    this.#db.run(
      'INSERT INTO image_names (name, manifest, updated_at) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET manifest = excluded.manifest, updated_at = excluded.updated_at',
      name,
      manifest,
      Date.now(),
    )
    this.#journal.append({ type: 'image', action: 'tag', subject: id, attributes: { name: shown(name) } })
  }

  #unname(name: string, id: Digest): void {
    this.#db.run('DELETE FROM image_names WHERE name = ?', name)
    // A second packing of a named image that lost its own last name would be out of everybody's sight.
    this.#db.run(
      `DELETE FROM images WHERE id = ?1
       AND NOT EXISTS (SELECT 1 FROM image_names WHERE image_names.manifest = images.manifest)
       AND EXISTS (SELECT 1 FROM images AS other JOIN image_names ON image_names.manifest = other.manifest WHERE other.id = ?1)`,
      id,
    )
    this.#journal.append({ type: 'image', action: 'untag', subject: id, attributes: { name: shown(name) } })
  }
}

const shown = (canonical: string): string => familiarName(parseReference(canonical))
