import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { ArchiveFile, ArchiveFiles } from './archive-files.ts'

export type ArchiveFormat = 'docker-archive' | 'oci-archive' | 'oci-layout'

/** One image of an archive. */
export type ArchivedImage =
  /** A manifest or an index, as OCI layouts have them. */
  | { readonly kind: 'manifest'; readonly descriptor: Descriptor; readonly names: readonly string[] }
  /** A configuration and layers without a manifest, as old `docker save` wrote them. */
  | {
      readonly kind: 'parts'
      readonly config: ArchiveFile
      readonly layers: readonly ArchiveFile[]
      readonly names: readonly string[]
    }

/** An image archive that has been looked through; its layers have not been touched yet (unless it was a stream). */
export interface ImageArchive {
  readonly format: ArchiveFormat
  readonly files: ArchiveFiles
  readonly images: readonly ArchivedImage[]
  /**
   * Names that a `manifest.json` gives to images of a layout, by the digest of the configuration: some writers put
   * them there only.
   */
  readonly namesByConfig: ReadonlyMap<Digest, readonly string[]>
}
