import { open } from 'node:fs/promises'
import type { ArchiveFile } from '../archive/archive-files.ts'
import { type ArchiveLimits, defaultArchiveLimits } from '../archive/archive-limits.ts'
import type { ArchiveSource } from '../archive/open-files.ts'
import { readArchive } from '../archive/read-archive.ts'
import { checkSource } from '../archive/source-bytes.ts'
import type { Blob } from '../content/blob-writer.ts'
import type { Lease } from '../content/lease.ts'
import { archiveErrors } from '../errors/archive-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { parsePlatform } from '../image/choose-platform.ts'
import type { ImageLifetime } from '../image/image-owners.ts'
import type { ImageRecord, ManifestRecord } from '../image/image-record.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { WorkQueue } from '../lifetime/queue.ts'
import { type Digest, digestOf } from '../oci/digest.ts'
import { mediaTypes } from '../oci/media-types.ts'
import { ByteMeter } from '../progress/byte-meter.ts'
import { type Operation, startOperation } from '../progress/operation.ts'
import type { ProgressSink } from '../progress/progress-event.ts'
import { allOrAbort } from './all-or-abort.ts'
import { type ImagePlan, type LayerPlan, planImage } from './image-plan.ts'
import type { LayerFile, LayerToUnpack } from './layer-unpacker.ts'
import { checkLoadOptions } from './transfer-options.ts'
import type { TransferServices } from './transfer-services.ts'

export interface LoadOptions extends CallOptions {
  /** Which image of a multi-platform index; `os/architecture[/variant]`. Default: this machine's. */
  readonly platform?: string | undefined
  /** Repository for images that an OCI layout knows by a bare tag (`v1` becomes `<repository>:v1`). */
  readonly repository?: string | undefined
  readonly limits?: Partial<ArchiveLimits> | undefined
  /** `process`: they go with this process, unless they were here or are needed then. Default `kept`. */
  readonly lifetime?: ImageLifetime | undefined
}

// More would only wait for the same disk.
const parallelBlobs = 2

interface LoadContext {
  readonly services: TransferServices
  readonly lease: Lease
  readonly signal: AbortSignal
  readonly report: ProgressSink
}

/**
 * Loads every image of an archive: a `docker save` tarball, an OCI archive or layout directory; from a path or from any
 * stream of bytes, plain or compressed. Blobs are stored and layers unpacked at the same time. Either all images of the
 * archive are recorded, durably, or nothing of it stays.
 *
 * @throws `archive.*`, `image.bad_manifest`, `image.no_platform`, `content.*`, `layer.*`, `call.aborted`
 */
export function loadImages(
  services: TransferServices,
  source: ArchiveSource,
  options: LoadOptions = {},
): Operation<readonly ImageRecord[]> {
  return startOperation(
    async ({ signal, report }) => {
      const { content } = services
      checkSource('images.load', source)
      const { platform: wanted, repository, limits: changed, lifetime } = checkLoadOptions(options)
      const platform = wanted === undefined ? null : parsePlatform(wanted)
      const limits = { ...defaultArchiveLimits, ...changed }
      const lease = content.createLease()
      try {
        report({ type: 'stage', stage: 'read' })
        const archive = await readArchive(source, { content, lease, limits, report, signal, repository })
        const plans: ImagePlan[] = []
        for (const image of archive.images)
          plans.push(await planImage(archive, image, { content, limits, platform, signal }))
        if (plans.length === 0)
          throw archiveErrors.error('not_an_archive', { message: 'The archive holds no images. Save some into it.' })
        report({ type: 'stage', stage: 'unpack' })
        const context = { services, lease, signal, report }
        const images: { manifest: ManifestRecord; names: readonly string[] }[] = []
        for (const plan of plans) images.push({ manifest: await bringImage(plan, context), names: plan.names })
        const records = await services.images.createAll(images, { lease, signal, action: 'load', lifetime })
        // A layout lists an image once for each of its names.
        return [...new Map(records.map((record) => [record.manifest.digest, record])).values()]
      } finally {
        content.discard(lease)
      }
    },
    options,
    'Loading images',
  )
}

/** Stores the blobs of one image and unpacks its layers, at once where the bytes can be read twice. */
async function bringImage(plan: ImagePlan, context: LoadContext): Promise<ManifestRecord> {
  const canOverlap = plan.layers.every(({ file }) => file?.content.kind === 'range')
  let layers: readonly Blob[] = []
  await allOrAbort(context.signal, (signal) => {
    const inner = { ...context, signal }
    const storing = storeLayers(plan, inner).then((blobs) => {
      layers = blobs
    })
    const unpacking = canOverlap
      ? unpack(plan, plan.layers.map(rangeOf), inner)
      : storing.then(() =>
          unpack(
            plan,
            layers.map((blob) => storedFile(blob, context)),
            inner,
          ),
        )
    return [storing, unpacking]
  })
  await storeDocument(plan.config, context)
  const manifest = plan.manifest ?? synthesizeManifest(plan, layers)
  await storeDocument(manifest, context)
  return { digest: manifest.digest, mediaType: manifest.mediaType, size: manifest.bytes.length }
}

function storeLayers(plan: ImagePlan, context: LoadContext): Promise<Blob[]> {
  const queue = new WorkQueue(parallelBlobs)
  return allOrAbort(context.signal, (signal) =>
    plan.layers.map((layer) => queue.run(() => storeLayer(layer, { ...context, signal }))),
  )
}

function unpack(plan: ImagePlan, sources: readonly LayerFile[], context: LoadContext): Promise<void> {
  const layers: LayerToUnpack[] = plan.layers.map(({ diffId, chainId }, at) => ({
    diffId,
    chainId,
    source: sources[at]!,
  }))
  const { lease, signal, report } = context
  return context.services.unpacker.unpack(layers, { lease, signal, report })
}

function rangeOf({ file }: LayerPlan): LayerFile {
  if (file?.content.kind !== 'range') throw new TypeError('the layer is not a range of a file')
  return { path: file.content.path, offset: file.content.offset, length: file.size }
}

const storedFile = ({ digest, size }: Blob, { services }: LoadContext): LayerFile => ({
  path: services.content.fileOf(digest),
  offset: 0,
  length: size,
})

async function storeLayer({ file, expected }: LayerPlan, context: LoadContext): Promise<Blob> {
  const { lease, signal, report } = context
  const { content } = context.services
  if (expected) {
    lease.addBlob(expected.digest)
    const present = content.stat(expected.digest)
    if (present) {
      report({ type: 'item-done', item: present.digest, reused: true })
      return present
    }
  }
  // The plan has seen that what the archive leaves out is in the store; it may have been removed since.
  if (!file)
    throw archiveErrors.error('missing_file', {
      message: `The archive does not hold ${expected?.digest}. Save it again.`,
    })
  if (file.content.kind === 'blob') return verifySpooled(file, expected, content.stat(file.content.digest))
  await using writer = await content.openWriter({ lease, signal, ...(expected ? { expected } : {}) })
  const item = expected?.digest ?? file.name
  const meter = new ByteMeter(report, item, file.size)
  try {
    if (file.content.kind === 'memory') await writer.write(file.content.bytes)
    else {
      const handle = await open(file.content.path, 'r')
      try {
        await writer.copyFrom(handle, file.content.offset, file.size, { signal, onBytes: (bytes) => meter.add(bytes) })
      } finally {
        await handle.close()
      }
    }
    const blob = await writer.commit()
    meter.flush()
    report({ type: 'item-done', item, reused: blob.reused })
    return blob
  } catch (error) {
    throw inArchive(error, file)
  }
}

/** The files of a stream were hashed when they came. */
function verifySpooled(file: ArchiveFile, expected: LayerPlan['expected'], blob: Blob | null): Blob {
  if (!blob)
    throw archiveErrors.error('missing_file', { message: `"${file.name}" vanished from the store. Load it again.` })
  if (expected && (blob.digest !== expected.digest || blob.size !== expected.size))
    throw archiveErrors.error('digest_mismatch', {
      message: `"${file.name}" of the archive should be ${expected.digest} (${expected.size} bytes) and is ${blob.digest} (${blob.size} bytes). The archive is damaged; make or copy it again.`,
      subject: { type: 'file', id: file.name },
      details: { expected: expected.digest, actual: blob.digest },
    })
  return blob
}

function inArchive(error: unknown, file: ArchiveFile): unknown {
  if (!isEngineError(error, { kind: 'data_loss' })) return error
  return archiveErrors.error('digest_mismatch', {
    message: `"${file.name}" of the archive is damaged: ${error.message}`,
    subject: { type: 'file', id: file.name },
    details: error.details,
    cause: error,
  })
}

async function storeDocument(
  { digest, bytes }: { readonly digest: Digest; readonly bytes: Uint8Array },
  { services, lease, signal }: LoadContext,
): Promise<void> {
  await services.content.ingest([bytes], { lease, signal, expected: { digest, size: bytes.length } })
}

/**
 * The manifest of an image that came without one. The same parts always give the same bytes, in the shape that current
 * Docker versions give them.
 */
function synthesizeManifest(plan: ImagePlan, layers: readonly Blob[]) {
  const document = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: plan.config.digest, size: plan.config.bytes.length },
    layers: layers.map(({ digest, size }, at) => ({ mediaType: plan.layers[at]!.mediaType, digest, size })),
  }
  const bytes = Buffer.from(JSON.stringify(document))
  return { digest: digestOf(bytes), mediaType: mediaTypes.ociManifest, bytes }
}
