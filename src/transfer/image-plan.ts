import { createHash } from 'node:crypto'
import { type ArchiveFile, parseJson, readFileBytes } from '../archive/archive-files.ts'
import { type ArchiveLimits, checkLimit } from '../archive/archive-limits.ts'
import type { ArchivedImage, ImageArchive } from '../archive/image-archive.ts'
import { blobFile } from '../archive/read-archive.ts'
import { digestOfBlobPath } from '../archive/spool-tar.ts'
import type { ContentStore } from '../content/content-store.ts'
import { compressionHead, detectCompression } from '../content/detect-compression.ts'
import { archiveErrors } from '../errors/archive-errors.ts'
import { imageErrors } from '../errors/image-errors.ts'
import { choosePlatform, isAttestation, rankPlatforms } from '../image/choose-platform.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { chainIds } from '../oci/chain-id.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex, digestOf, isDigest } from '../oci/digest.ts'
import { asImageConfig, asIndex, asManifest } from '../oci/documents.ts'
import type { ImageConfig } from '../oci/image-config.ts'
import type { Index } from '../oci/manifest.ts'
import { isIndexType, mediaTypes } from '../oci/media-types.ts'
import { hostPlatform, type Platform } from '../oci/platform.ts'
import { whyNotRunnable } from '../oci/runnable.ts'
import { canonicalName, parseReference } from '../reference/reference.ts'

export interface LayerPlan {
  readonly diffId: Digest
  readonly chainId: Digest
  /** Null: the archive leaves it out because the store has it. */
  readonly file: ArchiveFile | null
  readonly mediaType: string
  /** Null when only the bytes will tell. */
  readonly expected: { readonly digest: Digest; readonly size: number } | null
}

/** What loading one image of an archive takes. */
export interface ImagePlan {
  readonly names: readonly string[]
  readonly config: { readonly digest: Digest; readonly bytes: Uint8Array }
  /** Null: made when the digests of the layers are known. */
  readonly manifest: { readonly digest: Digest; readonly mediaType: string; readonly bytes: Uint8Array } | null
  readonly layers: readonly LayerPlan[]
}

export interface PlanOptions extends CallOptions {
  readonly content: ContentStore
  readonly limits: ArchiveLimits
  readonly platform: Platform | null
}

/** Reads the metadata of one image; verifies every document against its digest. @throws `archive.*`, `image.*` */
export function planImage(archive: ImageArchive, image: ArchivedImage, options: PlanOptions): Promise<ImagePlan> {
  return image.kind === 'parts' ? planParts(image, options) : planManifest(archive, image, options)
}

async function planManifest(
  archive: ImageArchive,
  image: Extract<ArchivedImage, { kind: 'manifest' }>,
  options: PlanOptions,
): Promise<ImagePlan> {
  const { descriptor, bytes, json } = await findManifest(archive, image.descriptor, options, 0)
  const manifest = asManifest(json, descriptor.digest)
  const problem = whyNotRunnable(manifest)
  if (problem !== null)
    throw archiveErrors.error('unsupported_image', {
      message: `The image ${descriptor.digest} of the archive ${problem}. ${archiveErrors.codes.unsupported_image.help}`,
      subject: { type: 'manifest', id: descriptor.digest },
    })
  const configBytes = await readDocument(archive, manifest.config, options)
  const config = asImageConfig(parseJson(configBytes, manifest.config.digest), manifest.config.digest)
  const diffIds = config.rootfs.diff_ids
  if (diffIds.length !== manifest.layers.length)
    throw imageErrors.error('bad_manifest', {
      message: `The manifest ${descriptor.digest} has ${manifest.layers.length} layers, its configuration ${diffIds.length}. The image was built wrongly.`,
      subject: { type: 'manifest', id: descriptor.digest },
    })
  const chain = chainIds(diffIds)
  const layers: LayerPlan[] = []
  for (const [at, { digest, size, mediaType }] of manifest.layers.entries()) {
    const file = await blobFile(archive, digest)
    if (!file && !options.content.has(digest)) throw missing(digest, `layer ${at + 1} of ${descriptor.digest}`)
    layers.push({ diffId: diffIds[at]!, chainId: chain[at]!, file, mediaType, expected: { digest, size } })
  }
  return {
    names: provenNames(
      [...image.names, ...(archive.namesByConfig.get(manifest.config.digest) ?? [])],
      [image.descriptor.digest, descriptor.digest],
    ),
    config: { digest: manifest.config.digest, bytes: configBytes },
    manifest: { digest: descriptor.digest, mediaType: manifestType(descriptor, manifest.mediaType), bytes },
    layers,
  }
}

const manifestType = (descriptor: Descriptor, own: string | undefined): string =>
  own ?? descriptor.mediaType ?? mediaTypes.ociManifest

/** Goes down through indexes to the manifest for the platform. */
async function findManifest(
  archive: ImageArchive,
  descriptor: Descriptor,
  options: PlanOptions,
  depth: number,
): Promise<{ descriptor: Descriptor; bytes: Uint8Array; json: unknown }> {
  checkLimit(options.limits, 'indexDepth', depth, 'The nesting of indexes')
  const bytes = await readDocument(archive, descriptor, options)
  const json = parseJson(bytes, descriptor.digest)
  const isIndex =
    isIndexType(descriptor.mediaType) || (typeof json === 'object' && json !== null && 'manifests' in json)
  if (!isIndex) return { descriptor, bytes, json }
  const next = await chooseEntry(archive, asIndex(json, descriptor.digest), options)
  return findManifest(archive, next, options, depth + 1)
}

async function chooseEntry(archive: ImageArchive, index: Index, options: PlanOptions): Promise<Descriptor> {
  const present = async (descriptor: Descriptor) =>
    (await blobFile(archive, descriptor.digest)) !== null || options.content.has(descriptor.digest)
  const wanted = options.platform ?? hostPlatform()
  for (const descriptor of rankPlatforms(index.manifests, wanted)) if (await present(descriptor)) return descriptor
  if (!options.platform) {
    // Saved for one platform only: that one is meant, whatever this machine is.
    const held: Descriptor[] = []
    for (const descriptor of index.manifests)
      if (!isAttestation(descriptor) && (await present(descriptor))) held.push(descriptor)
    if (held.length === 1) return held[0]!
  }
  const chosen = choosePlatform(index.manifests, wanted)
  throw missing(chosen.digest, 'the manifest for this platform')
}

async function planParts(image: Extract<ArchivedImage, { kind: 'parts' }>, options: PlanOptions): Promise<ImagePlan> {
  const { content, limits, signal } = options
  const bytes = await readFileBytes(image.config, content, { maxBytes: limits.jsonBytes, signal })
  const digest = digestOf(bytes)
  const promised = promisedDigest(image.config.name)
  if (promised && promised !== digest) throw mismatch(image.config.name, promised, digest)
  const config = asImageConfig(parseJson(bytes, image.config.name), image.config.name)
  const diffIds = config.rootfs.diff_ids
  if (diffIds.length !== image.layers.length)
    throw imageErrors.error('bad_manifest', {
      message: `The archive has ${image.layers.length} layers for ${image.config.name}, which lists ${diffIds.length}. Make it again.`,
      subject: { type: 'file', id: image.config.name },
    })
  checkPlatform(config, options.platform)
  const chain = chainIds(diffIds)
  const layers: LayerPlan[] = []
  for (const [at, file] of image.layers.entries()) {
    const head = await readFileBytes(file, content, { maxBytes: 64, length: compressionHead, signal })
    const compression = detectCompression(head)
    const mediaType = layerTypes[compression]
    if (!mediaType)
      throw archiveErrors.error('corrupt', {
        message: `The layer ${file.name} is compressed with ${compression}, which no image format has. Decompress it and make the archive again.`,
        subject: { type: 'file', id: file.name },
      })
    layers.push({
      diffId: diffIds[at]!,
      chainId: chain[at]!,
      file,
      mediaType,
      // A tar as it is must have the very digest that the configuration gives.
      expected: compression === 'none' ? { digest: diffIds[at]!, size: file.size } : null,
    })
  }
  return { names: provenNames(image.names, []), config: { digest, bytes }, manifest: null, layers }
}

/**
 * A name with a digest promises these very bytes, and anybody can write any into an archive: of one that is not the
 * image's only the tag stays.
 */
function provenNames(names: readonly string[], digests: readonly Digest[]): readonly string[] {
  return names.flatMap((name) => {
    const reference = parseReference(name)
    if (reference.digest === null || digests.includes(reference.digest)) return name
    return reference.tag === null ? [] : canonicalName({ ...reference, digest: null })
  })
}

const layerTypes: Readonly<Record<string, string>> = {
  none: mediaTypes.ociLayer,
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
}

function checkPlatform(config: ImageConfig, wanted: Platform | null): void {
  if (!wanted) return
  const platform = {
    os: config.os,
    architecture: config.architecture,
    ...(config.variant ? { variant: config.variant } : {}),
  }
  choosePlatform([{ mediaType: mediaTypes.ociManifest, digest: digestOf(''), size: 0, platform }], wanted)
}

/** Old `docker save` calls the configuration `<hex>.json`, current ones `blobs/sha256/<hex>`. */
function promisedDigest(name: string): Digest | null {
  const digest = `sha256:${name
    .split('/')
    .at(-1)!
    .replace(/\.json$/, '')}`
  return digestOfBlobPath(name) ?? (isDigest(digest) ? digest : null)
}

/** The verified bytes of a manifest, index or configuration, of the archive or of the store. */
async function readDocument(archive: ImageArchive, descriptor: Descriptor, options: PlanOptions): Promise<Uint8Array> {
  const { content, limits, signal } = options
  checkLimit(limits, 'jsonBytes', descriptor.size, `The size of ${descriptor.digest}`)
  const file = await blobFile(archive, descriptor.digest)
  if (!file) {
    if (!content.has(descriptor.digest)) throw missing(descriptor.digest, 'a document that its index names')
    return content.readBytes(descriptor.digest, { maxBytes: limits.jsonBytes, signal })
  }
  const bytes = await readFileBytes(file, content, { maxBytes: limits.jsonBytes, signal })
  const actual = createHash(digestAlgorithm(descriptor.digest)).update(bytes).digest('hex')
  if (actual !== digestHex(descriptor.digest)) throw mismatch(file.name, descriptor.digest, actual)
  if (bytes.length !== descriptor.size)
    throw archiveErrors.error('corrupt', {
      message: `"${file.name}" has ${bytes.length} bytes, but its descriptor says ${descriptor.size}. Make the archive again.`,
      subject: { type: 'file', id: file.name },
    })
  return bytes
}

const mismatch = (name: string, expected: string, actual: string) =>
  archiveErrors.error('digest_mismatch', {
    message: `"${name}" of the archive should be ${expected} and is ${actual}. The archive is damaged; make or copy it again.`,
    subject: { type: 'file', id: name },
    details: { expected, actual },
  })

const missing = (digest: Digest, what: string) =>
  archiveErrors.error('missing_file', {
    message: `The archive does not hold ${digest}, ${what}. Save the image again, with all of its layers.`,
    subject: { type: 'blob', id: digest },
  })
