import type { ContentStore } from '../content/content-store.ts'
import type { Digest } from '../oci/digest.ts'
import { canonicalName, type Reference, withDefaultTag } from '../reference/reference.ts'
import type { Database } from '../state/database.ts'
import { type ImageLayer, ImageRecord } from './image-record.ts'

type ImageRow = {
  readonly manifest: Digest
  readonly id: Digest
  readonly media_type: string
  readonly manifest_size: number
  readonly created_at: number
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

  all(): ImageRecord[] {
    const ids = this.#db.all<{ id: Digest }>('SELECT id FROM images GROUP BY id ORDER BY MAX(created_at) DESC, id')
    return ids.map((row) => this.byDigest(row.id)!)
  }

  #named(name: string): ImageRecord | null {
    const row = this.#db.get<ImageRow>(
      'SELECT images.* FROM images JOIN image_names USING (manifest) WHERE name = ?',
      name,
    )
    return row ? this.#record(row) : null
  }

  #record(row: ImageRow): ImageRecord {
    const manifests = this.#db.all<{ manifest: Digest }>(`SELECT manifest FROM images WHERE id = ? ${order}`, row.id)
    const names = this.#db.all<{ name: string }>(
      'SELECT name FROM image_names JOIN images USING (manifest) WHERE id = ? ORDER BY name',
      row.id,
    )
    const layers = this.#db.all<ImageLayer & Record<string, unknown>>(
      `SELECT image_blobs.digest AS digest, diff_id AS diffId, coalesce(size, 0) AS size FROM image_blobs
       LEFT JOIN blobs USING (digest) WHERE manifest = ? AND diff_id IS NOT NULL ORDER BY position`,
      row.manifest,
    )
    return new ImageRecord(
      {
        id: row.id,
        manifest: { digest: row.manifest, mediaType: row.media_type, size: row.manifest_size },
        manifests: manifests.map((other) => other.manifest),
        names: names.map((other) => other.name),
        layers: layers.map(({ digest, diffId, size }) => ({ digest, diffId, size })),
        createdAt: new Date(row.created_at),
      },
      this.#content,
    )
  }
}

const order = `ORDER BY EXISTS (SELECT 1 FROM image_names WHERE image_names.manifest = images.manifest) DESC,
  images.created_at DESC, images.manifest`
