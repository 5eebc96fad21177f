import type { ImageRecord } from '../image/image-record.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { SnapshotService } from '../snapshot/snapshot-service.ts'
import type { TransferServices } from './transfer-services.ts'

/**
 * Unpacks those layers of an image that are not unpacked: a commit leaves that to the first container, and trees can be
 * lost. Gives the chain id of the whole; null for an image without layers.
 *
 * @throws `image.not_found` when it was removed meanwhile, `content.damaged` when a blob is lost, `layer.*`
 */
export async function ensureUnpacked(
  services: Pick<TransferServices, 'content' | 'images' | 'unpacker'>,
  storage: SnapshotService,
  image: ImageRecord,
  call?: CallOptions,
): Promise<Digest | null> {
  const { chain } = image
  const top = chain.at(-1)
  if (top === undefined) return null
  if (storage.hasChain(top)) return top
  throwIfAborted(call, 'Unpacking an image')
  const { content, images, unpacker } = services
  await content.withLease(async (lease) => {
    for (const { digest } of image.layers) lease.addBlob(digest)
    // Before the lease held them somebody may have removed it.
    images.resolve(image.id)
    for (const [at, { digest }] of image.layers.entries()) if (!storage.hasChain(chain[at]!)) content.require(digest)
    const layers = image.layers.map(({ diffId, digest, size }, at) => ({
      diffId,
      chainId: chain[at]!,
      source: { path: content.fileOf(digest), offset: 0, length: size },
    }))
    await unpacker.unpack(layers, { lease, signal: call?.signal })
  })
  return top
}
