import type { ContentStore } from '../content/content-store.ts'
import { imageErrors } from '../errors/image-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { asImageConfig, asManifest } from '../oci/documents.ts'
import type { ManifestRecord } from './image-record.ts'

/** What is recorded of an image. */
export interface CheckedImage {
  readonly manifest: ManifestRecord
  /** Digest of the configuration. */
  readonly id: Digest
  /** Configuration first, then the layers from the base up. */
  readonly blobs: readonly { readonly digest: Digest; readonly diffId: Digest | null }[]
  readonly names: readonly string[]
}

/** Reads manifest and configuration from the store and sees that all belongs together. @throws `image.bad_manifest` */
export async function checkImage(
  manifest: ManifestRecord,
  content: ContentStore,
  call: CallOptions,
): Promise<CheckedImage> {
  const document = asManifest(await content.readJson(manifest.digest, call), manifest.digest)
  const id = document.config.digest
  const diffIds = asImageConfig(await content.readJson(id, call), id).rootfs.diff_ids
  if (diffIds.length !== document.layers.length)
    throw imageErrors.error('bad_manifest', {
      message: `The manifest ${manifest.digest} has ${document.layers.length} layers, its configuration ${diffIds.length}. The image was built wrongly.`,
      subject: { type: 'manifest', id: manifest.digest },
    })
  const blobs = [
    { digest: id, diffId: null },
    ...document.layers.map((layer, at) => ({ digest: layer.digest, diffId: diffIds[at]! })),
  ]
  for (const { digest } of blobs)
    if (!content.has(digest))
      throw imageErrors.error('bad_manifest', {
        message: `The manifest ${manifest.digest} names the blob ${digest}, which is not in the store. Load or pull the whole image.`,
        subject: { type: 'blob', id: digest },
      })
  return { manifest, id, blobs, names: [] }
}
