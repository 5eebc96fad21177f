import type { Lease } from '../content/lease.ts'
import type { ImageRecord, ManifestRecord } from '../image/image-record.ts'
import { WorkQueue } from '../lifetime/queue.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { digestOf } from '../oci/digest.ts'
import { compressionOf, formatOf, type LayerCompression } from '../oci/layer-types.ts'
import type { Manifest } from '../oci/manifest.ts'
import type { OperationContext } from '../progress/operation.ts'
import { requireLayerType } from './commit-options.ts'
import { compressBlob } from './compress-blob.ts'
import type { TransferServices } from './transfer-services.ts'

/** How layers are packed that are sent: `stored`: as they are. */
export type SentCompression = 'stored' | Exclude<LayerCompression, 'none'>

/** An image as it is sent. */
export interface PackedImage {
  readonly manifest: ManifestRecord
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  /** Whether layers were packed for it: then it is not the stored manifest. */
  readonly isNew: boolean
}

// Each of them uses every processor.
const layersAtOnce = 1

/**
 * Packs the layers of an image as wanted, under the lease. By default only plain ones, with gzip. The configuration and
 * so the image's id stay.
 *
 * @throws `transfer.unsupported_compression`, `content.*`, `call.aborted`
 */
export async function repackImage(
  { content }: Pick<TransferServices, 'content'>,
  image: ImageRecord,
  wanted: SentCompression | undefined,
  { lease, signal, report }: OperationContext & { readonly lease: Lease },
): Promise<PackedImage> {
  const stored = await image.readManifest({ signal })
  for (const { digest } of [image.manifest, stored.config, ...stored.layers]) lease.addBlob(digest)
  const format = formatOf(image.manifest.mediaType)
  const target = wanted === undefined || wanted === 'stored' ? 'gzip' : wanted
  const mediaType = requireLayerType(format, target)
  const isWrong = (layer: Descriptor) => {
    const compression = compressionOf(layer.mediaType)
    if (wanted === 'stored' || compression === null) return false
    return wanted === undefined ? compression === 'none' : compression !== wanted
  }
  if (!stored.layers.some(isWrong))
    return { manifest: image.manifest, config: stored.config, layers: stored.layers, isNew: false }
  report({ type: 'stage', stage: 'compress' })
  const queue = new WorkQueue(layersAtOnce)
  const layers = await Promise.all(
    stored.layers.map((layer) =>
      queue.run(async () => {
        if (!isWrong(layer)) return layer
        const { digest, size } = await compressBlob(content, layer.digest, target, { lease, signal, report })
        const { annotations } = layer
        return { mediaType, digest, size, ...(annotations ? { annotations } : {}) }
      }),
    ),
  )
  const document: Manifest = { ...stored, layers }
  const bytes = Buffer.from(JSON.stringify(document))
  const expected = { digest: digestOf(bytes), size: bytes.length }
  await content.ingest([bytes], { lease, signal, expected })
  return { manifest: { ...expected, mediaType: image.manifest.mediaType }, config: stored.config, layers, isNew: true }
}
