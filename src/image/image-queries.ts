import type { ContentStore } from '../content/content-store.ts'
import type { Digest } from '../oci/digest.ts'
import { canonicalName, type Reference, withDefaultTag } from '../reference/reference.ts'
import type { Database } from '../state/database.ts'
import { ImageRecord, isTagged } from './image-record.ts'
import type { RemovedItem } from './image-remover.ts'

type ImageRow = {
  readonly manifest: Digest
  readonly id: Digest
  readonly media_type: string
  readonly manifest_size: number
  readonly created_at: number
  readonly parent: Digest | null
}

type LayerRow = {
  readonly manifest: string
  readonly digest: Digest
  readonly diffId: Digest
  readonly size: number
}

/** An image in a list: what the records say without a look at its layers. */
export interface ListedImage {
  readonly id: Digest
  /** Canonical, sorted. */
  readonly names: readonly string[]
  /** When it came to this root. */
  readonly createdAt: Date
  /** No tag, and no image was made from it. */
  readonly dangling: boolean
}

/** Reads image records. Several manifests may share an id; a named one comes first, then the newest. */
export class ImageQueries {
  readonly #db: Database
  readonly #content: ContentStore

  constructor(db: Database, content: ContentStore) {
    this.#db = db
    this.#content = content
  }

  byManifest(manifest: Digest): ImageRecord | null {
    const row = this.#db.get<ImageRow>('SELECT * FROM images WHERE manifest = ?', manifest)
    return row ? this.#record(row) : null
  }

  /** By id, or by the digest of a manifest. */
  byDigest(digest: Digest): ImageRecord | null {
    const row = this.#db.get<ImageRow>(
      `SELECT images.* FROM images WHERE id = ?1 OR manifest = ?1 ${order} LIMIT 1`,
      digest,
    )
    return row ? this.#record(row) : null
  }

  byReference(reference: Reference): ImageRecord | null {
    const full = withDefaultTag(reference)
    const named = this.#named(canonicalName(full))
    if (named || !full.digest) return named
    const bare = this.#named(canonicalName({ ...full, tag: null }))
    if (bare) return bare
    // A digest is of any name that the repository has here.
    const repository = `${full.domain}/${full.path}`
    const row = this.#db.get<ImageRow>(
      `SELECT images.* FROM images JOIN image_names USING (manifest) WHERE images.manifest = ?1
       AND (substr(name, 1, length(?2) + 1) = ?2 || ':' OR substr(name, 1, length(?2) + 1) = ?2 || '@') LIMIT 1`,
      full.digest,
      repository,
    )
    return row ? this.#record(row) : null
  }

  /** Ids (or, when there is none, manifests) that begin with these hex digits. */
  idsFrom(prefix: string): Digest[] {
    // Digits compare as text: everything from the prefix to just behind it.
    const [from, to] = [`sha256:${prefix}`, `sha256:${prefix}g`]
    const ids = this.#db.all<{ id: Digest }>('SELECT DISTINCT id FROM images WHERE id >= ? AND id < ?', from, to)
    if (ids.length > 0) return ids.map((row) => row.id)
    return this.#db
      .all<{ manifest: Digest }>('SELECT manifest FROM images WHERE manifest >= ? AND manifest < ?', from, to)
      .map((row) => row.manifest)
  }

  /** Newest first; `base`: only those whose lowest layer has this diff id. */
  all(base?: Digest): ImageRecord[] {
    const [where, values] =
      base === undefined
        ? ['1', []]
        : ['manifest IN (SELECT manifest FROM image_blobs WHERE position = 1 AND diff_id = ?)', [base]]
    const rows = this.#db.all<ImageRow>(`SELECT images.* FROM images WHERE ${where} ${order}`, ...values)
    const layers = Map.groupBy(this.#db.all<LayerRow>(layersOf(where), ...values), (row) => row.manifest)
    const names = this.#namesById()
    const byId = [...Map.groupBy(rows, (row) => row.id)]
    return byId
      .map(([id, manifests]) => ({ manifests, names: names.get(id) ?? [], added: lastAdded(manifests) }))
      .sort((a, b) => b.added - a.added || compare(a.manifests[0]!.id, b.manifests[0]!.id))
      .map((image) => this.#make(image.manifests, image.names, layers.get(image.manifests[0]!.manifest) ?? []))
  }

  /** Newest first. */
  listed(): ListedImage[] {
    const rows = this.#db.all<{ id: Digest; added: number; children: number }>(
      `SELECT id, MAX(created_at) AS added, EXISTS (SELECT 1 FROM images AS child WHERE child.parent = images.id) AS children
       FROM images GROUP BY id ORDER BY added DESC, id`,
    )
    const names = this.#namesById()
    return rows.map(({ id, added, children }) => {
      const own = names.get(id) ?? []
      return { id, names: own, createdAt: new Date(added), dangling: children === 0 && !own.some(isTagged) }
    })
  }

  /** Ids of images that were made from this one. */
  childrenOf(id: Digest): Digest[] {
    return this.#db
      .all<{ id: Digest }>('SELECT DISTINCT id FROM images WHERE parent = ? AND id <> ?', id, id)
      .map((row) => row.id)
  }

  /** A manifest, and the blobs that it names. */
  blobsOf(manifest: Digest): RemovedItem[] {
    const blobs = this.#db.all<{ digest: Digest }>('SELECT digest FROM image_blobs WHERE manifest = ?', manifest)
    return [manifest, ...blobs.map((row) => row.digest)].map((item) => ({ kind: 'blob', item, bytes: 0 }))
  }

  /** All that the manifests of an image's id need. */
  itemsOf(record: ImageRecord): RemovedItem[] {
    const blobs = this.#db.all<{ digest: Digest }>(
      'SELECT DISTINCT image_blobs.digest FROM image_blobs JOIN images USING (manifest) WHERE id = ?',
      record.id,
    )
    const bytesOf = (diffId: Digest) =>
      this.#db.get<{ bytes: number }>('SELECT bytes FROM layers WHERE diff_id = ?', diffId)?.bytes ?? 0
    const { chain, layers, manifests } = record
    return [
      ...[...manifests, ...blobs.map((row) => row.digest)].map((item) => ({ kind: 'blob' as const, item, bytes: 0 })),
      ...chain.map((item, at) => ({ kind: 'snapshot' as const, item, bytes: bytesOf(layers[at]!.diffId) })).reverse(),
    ]
  }

  blobBytes(those?: ReadonlySet<Digest>): number {
    if (those === undefined) return this.#db.get<{ sum: number }>('SELECT total(size) AS sum FROM blobs')!.sum
    const ids = 'SELECT manifest FROM images WHERE id IN (SELECT value FROM json_each(?1))'
    return this.#db.get<{ sum: number }>(
      `SELECT total(size) AS sum FROM blobs
       WHERE digest IN (SELECT digest FROM image_blobs WHERE manifest IN (${ids})) OR digest IN (${ids})`,
      JSON.stringify([...those]),
    )!.sum
  }

  #namesById(): ReadonlyMap<string, readonly string[]> {
    const rows = this.#db.all<{ id: string; name: string }>(
      'SELECT id, name FROM image_names JOIN images USING (manifest) ORDER BY name',
    )
    const names = new Map<string, string[]>()
    for (const { id, name } of rows) {
      const own = names.get(id)
      if (own) own.push(name)
      else names.set(id, [name])
    }
    return names
  }

  #named(name: string): ImageRecord | null {
    const row = this.#db.get<ImageRow>(
      'SELECT images.* FROM images JOIN image_names USING (manifest) WHERE name = ?',
      name,
    )
    return row ? this.#record(row) : null
  }

  #record(row: ImageRow): ImageRecord {
    const others = this.#db.all<ImageRow>(`SELECT images.* FROM images WHERE id = ? ${order}`, row.id)
    const names = this.#db.all<{ name: string }>(
      'SELECT name FROM image_names JOIN images USING (manifest) WHERE id = ? ORDER BY name',
      row.id,
    )
    const layers = this.#db.all<LayerRow>(layersOf('manifest = ?'), row.manifest)
    const manifests = [row, ...others.filter((other) => other.manifest !== row.manifest)]
    return this.#make(
      manifests,
      names.map((other) => other.name),
      layers,
      others.map((other) => other.manifest),
    )
  }

  /** `rows` are those of one id, the one that was asked for first. */
  #make(
    rows: readonly ImageRow[],
    names: readonly string[],
    layers: readonly LayerRow[],
    manifests = rows.map((row) => row.manifest),
  ): ImageRecord {
    const { id, manifest, media_type, manifest_size, created_at } = rows[0]!
    return new ImageRecord(
      {
        id,
        manifest: { digest: manifest, mediaType: media_type, size: manifest_size },
        manifests,
        names,
        layers: layers.map(({ digest, diffId, size }) => ({ digest, diffId, size })),
        createdAt: new Date(created_at),
        parent: rows.find((row) => row.parent !== null)?.parent ?? null,
      },
      this.#content,
    )
  }
}

const order = `ORDER BY EXISTS (SELECT 1 FROM image_names WHERE image_names.manifest = images.manifest) DESC,
  images.created_at DESC, images.manifest`

const layersOf = (condition: string) =>
  `SELECT manifest, image_blobs.digest AS digest, diff_id AS diffId, coalesce(size, 0) AS size FROM image_blobs
   LEFT JOIN blobs USING (digest) WHERE ${condition} AND diff_id IS NOT NULL ORDER BY manifest, position`

const lastAdded = (rows: readonly ImageRow[]): number => Math.max(...rows.map((row) => row.created_at))

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
