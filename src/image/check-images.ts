import { readFile } from 'node:fs/promises'
import type { ContentStore } from '../content/content-store.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { errnoOf } from '../errors/host-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { asManifest } from '../oci/documents.ts'
import { mediaTypes } from '../oci/media-types.ts'
import { normalizeName } from '../reference/reference.ts'
import type { Database } from '../state/database.ts'
import type { IndexedImage } from './image-index.ts'
import type { ImageStore } from './image-store.ts'

/** Where records of images, their blobs and the index of the content store disagree. */
export interface ImageProblem {
  readonly kind: 'unrecorded_image' | 'incomplete_image' | 'outdated_index'
  /** Manifest digest; of the index, its path. */
  readonly id: string
  readonly message: string
  readonly repaired: boolean
}

export interface CheckImagesOptions extends CallOptions {
  readonly repair?: boolean | undefined
}

/** Manifests are small; nothing larger is looked into when the index is lost. Bytes. */
const manifestLimit = 4 << 20

interface Parts {
  readonly db: Database
  readonly content: ContentStore
  readonly images: ImageStore
}

/**
 * Finds images and names that the index of the content store has and the records have not, and images whose blobs are
 * not all here. When the index is lost as well, every whole manifest in the store is taken for an image without a name.
 */
export async function checkImages(parts: Parts, options: CheckImagesOptions): Promise<readonly ImageProblem[]> {
  const { content, images } = parts
  const indexed = images.index.read()
  const problems: ImageProblem[] = []
  const whole: IndexedImage[] = []
  const lost = missing(parts, indexed ?? [])
  // An index that names what is not here is damaged, too.
  if (indexed === null || lost.some(({ manifest }) => content.sizeOnDisk(manifest.digest) === 0))
    lost.push(...without(lost, missing(parts, await manifestsIn(parts))))
  // All under one lease and in one transaction: each change of the records makes the index say what they say.
  await content.withLease(async (lease) => {
    for (const image of lost) {
      const hindrance = options.repair ? await hold(content, lease.addBlob.bind(lease), image, options) : null
      if (hindrance === null) whole.push(image)
      problems.push({
        kind: 'unrecorded_image',
        id: image.manifest.digest,
        message: `The image ${image.names.join(', ') || image.manifest.digest} is in the content store and not recorded${hindrance === null ? '' : `; it cannot be recorded: ${hindrance} Load it again`}.`,
        repaired: options.repair === true && hindrance === null,
      })
    }
    if (options.repair && whole.length > 0) await images.restore(whole, { ...options, lease })
  })
  return [...problems, ...outdated(parts, options)]
}

const without = (known: readonly IndexedImage[], more: readonly IndexedImage[]): IndexedImage[] =>
  more.filter((image) => !known.some(({ manifest }) => manifest.digest === image.manifest.digest))

/** What is not recorded; of recorded images, their unrecorded names. */
function missing({ db }: Parts, indexed: readonly IndexedImage[]): IndexedImage[] {
  return db.transaction(() =>
    indexed.flatMap((image) => {
      const names = image.names.filter(
        (name) => isCanonical(name) && !db.get('SELECT 1 FROM image_names WHERE name = ?', name),
      )
      const recorded = db.get('SELECT 1 FROM images WHERE manifest = ?', image.manifest.digest) !== undefined
      return recorded && names.length === 0 ? [] : [{ ...image, names }]
    }),
  )
}

function isCanonical(name: string): boolean {
  try {
    return normalizeName(name) === name
  } catch {
    return false
  }
}

/** Leases and records the blobs of an image; says what is wrong with it, else null. */
async function hold(
  content: ContentStore,
  lease: (digest: Digest) => void,
  { manifest }: IndexedImage,
  call: CallOptions,
): Promise<string | null> {
  const take = async (digest: Digest) => {
    lease(digest)
    return content.has(digest) || (await content.recover(digest, call))
  }
  if (!(await take(manifest.digest))) return 'its manifest is missing or damaged.'
  try {
    const document = asManifest(await content.readJson(manifest.digest, call), manifest.digest)
    for (const { digest } of [document.config, ...document.layers])
      if (!(await take(digest))) return `the blob ${digest} is missing or damaged.`
    return null
  } catch (error) {
    if (isEngineError(error) && error.kind !== 'aborted') return error.message
    throw error
  }
}

/** Every file of the store that is a manifest. */
async function manifestsIn({ content }: Parts): Promise<IndexedImage[]> {
  const found: IndexedImage[] = []
  for (const digest of content.digests()) {
    const size = content.sizeOnDisk(digest)
    if (size > manifestLimit) continue
    try {
      const document = asManifest(JSON.parse(await readFile(content.fileOf(digest), 'utf8')), digest)
      const mediaType = document.mediaType ?? mediaTypes.ociManifest
      found.push({ manifest: { digest, mediaType, size }, names: [], addedAt: null, parent: null })
    } catch (error) {
      // No manifest, or collected meanwhile.
      if (!isEngineError(error) && !(error instanceof SyntaxError) && errnoOf(error) !== 'ENOENT') throw error
    }
  }
  return found
}

/** Images whose blobs are not all here; to be asked after the blobs were checked. */
export function incompleteImages({ db, content, images }: Parts): readonly ImageProblem[] {
  return images.list().flatMap((image) => {
    const blobs = db.all<{ digest: Digest }>(
      'SELECT digest FROM image_blobs WHERE manifest = ?1 UNION SELECT ?1',
      image.manifest.digest,
    )
    const absent = blobs.find(({ digest }) => !content.has(digest))
    if (!absent) return []
    return [
      {
        kind: 'incomplete_image' as const,
        id: image.manifest.digest,
        message: `The image ${image.names.join(', ') || image.id} lacks the blob ${absent.digest}. Load or pull it again.`,
        repaired: false,
      },
    ]
  })
}

function outdated({ db, images }: Parts, options: CheckImagesOptions): ImageProblem[] {
  return db.transaction(() => {
    if (images.index.isCurrent()) return []
    if (options.repair) images.index.write()
    return [
      {
        kind: 'outdated_index' as const,
        id: images.index.file,
        message: `${images.index.file} does not say what the records say.`,
        repaired: options.repair === true,
      },
    ]
  })
}
