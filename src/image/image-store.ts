import type { ContentStore } from '../content/content-store.ts'
import type { Lease } from '../content/lease.ts'
import { imageErrors } from '../errors/image-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { chainIds } from '../oci/chain-id.ts'
import type { Digest } from '../oci/digest.ts'
import { asImageConfig } from '../oci/documents.ts'
import type { ImageConfig } from '../oci/image-config.ts'
import { parseImageSelector } from '../reference/image-selector.ts'
import { canonicalName, familiarName, normalizeName, parseReference, withDefaultTag } from '../reference/reference.ts'
import { expandShortName, type ShortNames } from '../reference/short-names.ts'
import type { Database } from '../state/database.ts'
import type { EventJournal } from '../state/event-journal.ts'
import { type CheckedImage, checkImage } from './check-image.ts'
import { ImageIndex, type IndexedImage } from './image-index.ts'
import { type ImageLifetime, ImageOwners } from './image-owners.ts'
import { ImageQueries, type ListedImage } from './image-queries.ts'
import { type ImageRecord, isTagged, type ManifestRecord } from './image-record.ts'
import { type ImageRemoval, ImageRemover, type PruneScope, type RemoveRules } from './image-remover.ts'
import { LayerSizes } from './layer-sizes.ts'
import { newName } from './new-name.ts'
import type { ImageUser } from './removal-rules.ts'

export interface ImageStoreInit {
  readonly db: Database
  readonly content: ContentStore
  readonly journal: EventJournal
  /** This process: images of lifetime `process` go with it. */
  readonly owner: string
  /** Containers made from an image id. Synchronous: it is asked inside the transaction that removes the image. */
  readonly usersOf: (id: Digest) => readonly ImageUser[]
  /** Names that stand for others. Default: none. */
  readonly shortNames?: ShortNames | undefined
}

export interface CreateImageOptions extends CallOptions {
  /** Any spelling; a name that another image has moves to this one. */
  readonly names?: readonly string[] | undefined
  /** Holds the image's blobs until they are recorded here. */
  readonly lease: Lease
}

/** An image whose manifest, configuration and layers are in the content store. */
export interface ImageToRecord {
  readonly manifest: ManifestRecord
  /** Any spelling; a name that another image has moves to this one. */
  readonly names: readonly string[]
  /** Id of the image here that it was made from. */
  readonly parent?: Digest | null | undefined
}

/** Which images there are and what they are called. The bytes are the content store's. */
export class ImageStore {
  /** The copy of the records beside the blobs. */
  readonly index: ImageIndex
  readonly #db: Database
  readonly #content: ContentStore
  readonly #journal: EventJournal
  readonly #queries: ImageQueries
  readonly #shortNames: ShortNames
  readonly #owners: ImageOwners
  readonly #remover: ImageRemover
  readonly sizes: LayerSizes

  constructor(init: ImageStoreInit) {
    this.#db = init.db
    this.#content = init.content
    this.#journal = init.journal
    this.#shortNames = init.shortNames ?? {}
    this.#queries = new ImageQueries(init.db, init.content)
    const { db, journal, usersOf } = init
    this.#owners = new ImageOwners(db, init.owner)
    this.#remover = new ImageRemover({ db, journal, usersOf, queries: this.#queries, owners: this.#owners })
    this.sizes = new LayerSizes(init.db)
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
    images: readonly ImageToRecord[],
    options: Omit<CreateImageOptions, 'names'> & {
      readonly action?: 'load' | 'import' | 'pull' | 'commit' | 'squash' | undefined
      /** `unchanged`: as it is; new ones are kept. Default `kept`. */
      readonly lifetime?: ImageLifetime | 'unchanged' | undefined
    },
  ): Promise<ImageRecord[]> {
    const { lifetime = 'kept' } = options
    const checked = await this.#check(images, options)
    this.#db.transaction(() => {
      for (const [at, image] of checked.entries()) {
        if (lifetime !== 'unchanged') this.#owners.note(image.id, lifetime)
        this.#insert(image, images[at]?.parent ?? null)
        for (const name of new Set(image.names)) this.#name(name, image.manifest.digest, image.id)
        if (options.action) this.#journal.append({ type: 'image', action: options.action, subject: image.id })
      }
      this.index.write()
    })
    return checked.map((image) => this.#queries.byManifest(image.manifest.digest)!)
  }

  /** Records images again as the index says; all in one transaction. Their blobs are recorded and held by the lease. */
  async restore(images: readonly IndexedImage[], options: CallOptions & { readonly lease: Lease }): Promise<void> {
    const checked = await this.#check(images, options)
    this.#db.transaction(() => {
      for (const [at, image] of checked.entries()) {
        this.#insert(image, images[at]?.parent ?? null, images[at]?.addedAt ?? new Date())
        for (const name of new Set(image.names)) this.#name(name, image.manifest.digest, image.id)
      }
      this.index.write()
    })
  }

  /** The image a name, id or id prefix stands for; null when there is none. @throws `image.ambiguous`, `reference.*` */
  find(text: string): ImageRecord | null {
    const full = this.expand(text)
    const meant = full === text ? null : this.#queries.byReference(parseReference(full))
    if (meant) return meant
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

  /** The name that a short one stands for; any other text as it is. */
  expand(text: string): string {
    return expandShortName(text, this.#shortNames) ?? text
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

  /** Like `list`, without a look at layers. */
  listed(): ListedImage[] {
    return this.#queries.listed()
  }

  /** Ids of images that were made from this one. */
  childrenOf(id: Digest): readonly Digest[] {
    return this.#queries.childrenOf(id)
  }

  /** One record per id, the newest first. */
  list(): ImageRecord[] {
    return this.#queries.all()
  }

  /** Bytes of blobs, each counted once: of all that are stored, or of those that these images need. */
  blobBytes(those?: ReadonlySet<Digest>): number {
    return this.#queries.blobBytes(those)
  }

  /** The configuration of an id that is here. @throws `content.not_found`, `content.digest_mismatch` */
  async readConfig(id: Digest, call?: CallOptions): Promise<ImageConfig> {
    return asImageConfig(await this.#content.readJson(id, { ...call }), id)
  }

  /** Those whose lowest layer has this diff id. */
  listOnBase(diffId: Digest): ImageRecord[] {
    return this.#queries.all(diffId)
  }

  /**
   * Gives an image one more name, or moves the name here; it is a kept one then.
   *
   * @throws `image.digest_name`, `image.not_found`, `reference.*`
   */
  tag(image: ImageRecord, name: string): void {
    const canonical = newName(name)
    this.#db.transaction(() => {
      if (!this.#queries.byManifest(image.manifest.digest))
        throw imageErrors.error('not_found', {
          message: `The image ${image.id} has been removed meanwhile.`,
          subject: { type: 'image', id: image.id },
        })
      this.#name(canonical, image.manifest.digest, image.id)
      this.#owners.forget(image.id)
      this.index.write()
    })
  }

  /** Takes a name away; the image stays, perhaps without a name. False when there is no such name. @throws `reference.*` */
  untag(name: string): boolean {
    const canonical = normalizeName(name)
    return this.#db.transaction(() => {
      const record = this.#queries.byReference(parseReference(canonical))
      if (!record?.names.includes(canonical)) return false
      this.#remover.unname(canonical, record.id)
      this.index.write()
      return true
    })
  }

  /**
   * Removes a name, and the image with its last name; by id, the image with all its names. The rules: `planRemoval`.
   * What only it needed is to be freed after that.
   *
   * @throws `image.not_found`, `image.in_use`, `image.several_names`, `image.has_children`, `image.ambiguous`
   */
  remove(text: string, rules: RemoveRules = {}): ImageRemoval {
    return this.#db.transaction(() => {
      const record = this.resolve(text)
      const removal = this.#remover.remove(record, this.nameMeant(text, record), rules)
      this.index.write()
      return removal
    })
  }

  /** Removes those of the images that fit the scope when it is their turn, and that nothing needs. */
  prune(ids: readonly Digest[], scope: PruneScope): ImageRemoval {
    return this.#db.transaction(() => {
      const removal = this.#remover.prune(ids, scope)
      if (removal.deleted.length > 0) this.index.write()
      return removal
    })
  }

  /** Makes the index say what the records say, after a kill between the two. */
  settleIndex(): void {
    this.#db.transaction(() => {
      if (!this.index.isCurrent()) this.index.write()
    })
  }

  lifetimeOf(id: Digest): ImageLifetime {
    return this.#owners.lifetimeOf(id)
  }

  /** Somebody asks for an image that is here, as if it were brought again. False when it was removed meanwhile. */
  claim(id: Digest, lifetime: ImageLifetime): boolean {
    return this.#db.transaction(() => {
      if (!this.#queries.byDigest(id)) return false
      this.#owners.note(id, lifetime)
      return true
    })
  }

  /** Removes images that went with processes of which none is left, unless something needs them: those stay for later. */
  removeAbandoned(isGone: (owner: string) => boolean): ImageRemoval {
    // Nearly always there is none: nobody is to wait for his turn to learn that.
    if (this.#owners.abandoned(isGone).length === 0) return { untagged: [], deleted: [], items: [] }
    return this.#db.transaction(() => this.prune(this.#owners.abandoned(isGone), 'unused'))
  }

  async #check(images: readonly ImageToRecord[], call: CallOptions) {
    const checked: CheckedImage[] = []
    for (const { manifest, names } of images)
      checked.push({ ...(await checkImage(manifest, this.#content, call)), names: names.map(normalizeName) })
    return checked
  }

  #insert({ manifest, id, blobs }: CheckedImage, parent: Digest | null, addedAt = new Date()): void {
    const chain = chainIds(blobs.flatMap(({ diffId }) => diffId ?? [])).at(-1) ?? null
    this.#db.run(
      `INSERT INTO images (manifest, id, media_type, manifest_size, created_at, chain, parent) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (manifest) DO UPDATE SET parent = coalesce(parent, excluded.parent)`,
      manifest.digest,
      id,
      manifest.mediaType,
      manifest.size,
      addedAt.getTime(),
      chain,
      parent === id ? null : parent,
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

  /** The recorded name that a text stands for; null when it is an id. */
  nameMeant(text: string, record: ImageRecord): string | null {
    for (const candidate of [this.expand(text), text]) {
      const { reference } = parseImageSelector(candidate)
      const canonical = reference && canonicalName(withDefaultTag(reference))
      if (canonical !== null && record.names.includes(canonical)) return canonical
    }
    return null
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
    if (isTagged(name))
      this.#journal.append({ type: 'image', action: 'tag', subject: id, attributes: { name: shown(name) } })
  }
}

const shown = (canonical: string): string => familiarName(parseReference(canonical))
