import type { BlobWriter } from '../content/blob-writer.ts'
import type { ChangeHint } from '../driver-kit/storage-driver.ts'
import type { ImageLifetime } from '../image/image-owners.ts'
import type { ImageRecord } from '../image/image-record.ts'
import { newName } from '../image/new-name.ts'
import { packChanges, type TreePair } from '../layer/pack-changes.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type Digest, digestOf } from '../oci/digest.ts'
import type { ImageConfig } from '../oci/image-config.ts'
import {
  compressionOf,
  documentTypesOf,
  formatOf,
  type ImageFormat,
  type LayerCompression,
  layerTypeOf,
} from '../oci/layer-types.ts'
import { ByteMeter } from '../progress/byte-meter.ts'
import type { OperationContext } from '../progress/operation.ts'
import { requireLayerType } from './commit-options.ts'
import { compressBlob } from './compress-blob.ts'
import type { TransferServices } from './transfer-services.ts'
import type { TreeServices } from './tree-services.ts'

/** An image that is to be made upon the lowest layers of another one. */
export interface NewImage {
  readonly parent: ImageRecord
  /** Id of the image that it is recorded to be made from. */
  readonly recordedParent: Digest | null
  /** Layers of the parent that stay, by their descriptors. */
  readonly kept: number
  /** What the new layer holds. */
  readonly changes: ChangeHint | TreePair
  readonly mountPoints: readonly string[]
  /** The configuration. `layer` is null when nothing changed: then there is no new layer. */
  configure(layer: Digest | null): ImageConfig
  readonly name: string | undefined
  readonly format: ImageFormat | undefined
  readonly compression: LayerCompression | undefined
  readonly lifetime: ImageLifetime | undefined
  readonly action: 'commit' | 'squash'
  /** Called when the trees are not needed any more. */
  packed?(): Promise<void>
}

/**
 * Packs changes into a layer and records an image with it. Durable when it resolves; nothing is left when it fails. The
 * layer's tree is made when somebody needs it.
 */
export async function makeImage(
  services: TransferServices,
  trees: TreeServices,
  image: NewImage,
  context: OperationContext,
): Promise<ImageRecord> {
  const { content, images } = services
  const { parent, compression = 'none' } = image
  const { signal, report } = context
  const format = image.format ?? formatOf(parent.manifest.mediaType)
  const layerType = requireLayerType(format, compression)
  // A bad name is told before the work.
  const names = image.name === undefined ? [] : [newName(image.name)]
  const lease = content.createLease()
  try {
    for (const { digest } of parent.layers.slice(0, image.kept)) lease.addBlob(digest)
    const kept = await keptLayers(image, format, signal)
    report({ type: 'stage', stage: 'pack' })
    await using writer = await content.openWriter({ lease, signal })
    const plain = await pack(services, trees, image, writer, context)
    await image.packed?.()
    let layer: Descriptor | null = plain && { mediaType: layerType, ...plain }
    const storing: (Promise<unknown> | null)[] = [plain && compression === 'none' ? writer.commit() : null]
    try {
      if (plain && compression !== 'none') {
        await writer.commit()
        report({ type: 'stage', stage: 'compress' })
        layer = {
          mediaType: layerType,
          ...sizedDigest(await compressBlob(content, plain.digest, compression, { lease, signal, report })),
        }
      }
      const types = documentTypesOf(format)
      const config = documentOf(image.configure(plain?.digest ?? null), types.config)
      const manifest = documentOf(
        {
          schemaVersion: 2,
          mediaType: types.manifest,
          config: config.descriptor,
          layers: layer ? [...kept, layer] : kept,
        },
        types.manifest,
      )
      // Side by side: the disk takes them as one.
      for (const { bytes, descriptor } of [config, manifest])
        storing.push(content.ingest([bytes], { lease, signal, expected: sizedDigest(descriptor) }))
      await Promise.all(storing)
      const [made] = await images.createAll([{ manifest: manifest.descriptor, names, parent: image.recordedParent }], {
        lease,
        signal,
        action: image.action,
        lifetime: image.lifetime,
      })
      return made!
    } finally {
      await Promise.allSettled(storing)
    }
  } finally {
    content.discard(lease)
  }
}

/** Null when nothing changed. */
async function pack(
  { images }: TransferServices,
  { threads, scratch }: TreeServices,
  { changes, mountPoints }: NewImage,
  writer: BlobWriter,
  { signal, report }: OperationContext,
): Promise<{ readonly digest: Digest; readonly size: number } | null> {
  const meter = new ByteMeter(report, 'layer', null)
  const packed = await writer.fill(async (descriptor) => {
    const { bytes, entries, fileBytes, digest } = await packChanges(changes, descriptor, {
      scratch,
      mountPoints,
      signal,
      disk: 'begun',
      digest: true,
      run: (job, options) => threads.run(job, options),
      onBytes: (done) => meter.add(done - meter.done),
    })
    return { digest: digest!, size: bytes, entries, fileBytes }
  })
  meter.flush()
  if (packed.entries === 0) return null
  images.sizes.record(packed.digest, packed.fileBytes)
  return sizedDigest(packed)
}

const sizedDigest = ({ digest, size }: { readonly digest: Digest; readonly size: number }) => ({ digest, size })

/** The parent's descriptors, with the media types of the format. */
async function keptLayers(
  { parent, kept }: NewImage,
  format: ImageFormat,
  signal: AbortSignal,
): Promise<readonly Descriptor[]> {
  const { layers } = await parent.readManifest({ signal })
  return layers.slice(0, kept).map((layer) => {
    const compression = compressionOf(layer.mediaType)
    if (compression === null || layerTypeOf(format, compression) === layer.mediaType) return layer
    return { ...layer, mediaType: requireLayerType(format, compression) }
  })
}

function documentOf(document: object, mediaType: string) {
  const bytes = Buffer.from(JSON.stringify(document))
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length } }
}
