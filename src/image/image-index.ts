import { readFileSync } from 'node:fs'
import { errnoOf } from '../errors/host-errors.ts'
import { replaceFile } from '../host/replace-file.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import { asIndex } from '../oci/documents.ts'
import type { Database } from '../state/database.ts'
import type { ManifestRecord } from './image-record.ts'

/** Source: OCI image-spec, annotations.md. Holds the canonical name, which other tools take as it is. */
const nameAnnotation = 'org.opencontainers.image.ref.name'
/** Id of the image it was made from. */
const parentAnnotation = 'tscontainer.parent'
/** When the image came to this root, ISO 8601. */
const addedAnnotation = 'tscontainer.added'

/** An image as its copy in the index says. */
export interface IndexedImage {
  readonly manifest: ManifestRecord
  readonly names: readonly string[]
  readonly addedAt: Date | null
  readonly parent: Digest | null
}

type Row = {
  readonly digest: string
  readonly mediaType: string
  readonly size: number
  readonly added: number
  readonly parent: string | null
  readonly name: string | null
}

/**
 * `index.json` of the content store: which images there are and what they are called, as any OCI layout says it. A copy:
 * the records in state.db are what counts, and from this one they are built anew.
 */
export class ImageIndex {
  readonly file: string
  readonly #db: Database

  constructor(file: string, db: Database) {
    this.file = file
    this.#db = db
  }

  /**
   * Writes what the records say. Called as the last step inside the transaction that changes them: so writers take
   * turns, and after a kill the copy shows the state before or after the change.
   */
  write(): void {
    replaceFile(this.file, this.#text(), { synced: true })
  }

  /** Whether the file says what the records say; ask inside a transaction. */
  isCurrent(): boolean {
    return this.#readText() === this.#text()
  }

  /** Null when the file is missing or damaged. */
  read(): readonly IndexedImage[] | null {
    const text = this.#readText()
    if (text === null) return null
    try {
      return collect(asIndex(JSON.parse(text), this.file).manifests)
    } catch {
      return null
    }
  }

  #text(): string {
    const rows = this.#db.all<Row>(
      `SELECT images.manifest AS digest, media_type AS mediaType, manifest_size AS size, created_at AS added, parent, name
       FROM images LEFT JOIN image_names USING (manifest) ORDER BY created_at, images.manifest, name`,
    )
    const manifests = rows.map(({ digest, mediaType, size, added, parent, name }) => ({
      mediaType,
      digest,
      size,
      annotations: {
        ...(name === null ? {} : { [nameAnnotation]: name }),
        [addedAnnotation]: new Date(added).toISOString(),
        ...(parent === null ? {} : { [parentAnnotation]: parent }),
      },
    }))
    return JSON.stringify({ schemaVersion: 2, manifests })
  }

  #readText(): string | null {
    try {
      return readFileSync(this.file, 'utf8')
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      throw error
    }
  }
}

function collect(descriptors: ReturnType<typeof asIndex>['manifests']): IndexedImage[] {
  const images = new Map<string, IndexedImage>()
  for (const { digest, mediaType, size, annotations } of descriptors) {
    if (!isDigest(digest)) continue
    const known = images.get(digest)
    const name = annotations?.[nameAnnotation]
    const parent = annotations?.[parentAnnotation]
    const added = new Date(annotations?.[addedAnnotation] ?? '')
    images.set(digest, {
      manifest: { digest, mediaType, size },
      names: [...(known?.names ?? []), ...(name === undefined ? [] : [name])],
      addedAt: Number.isNaN(added.getTime()) ? (known?.addedAt ?? null) : added,
      parent: parent !== undefined && isDigest(parent) ? parent : null,
    })
  }
  return [...images.values()]
}
