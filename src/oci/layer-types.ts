import { mediaTypes } from './media-types.ts'

/** Whose media types a manifest has: those of the OCI image-spec, or of Docker's manifest v2 schema 2. */
export type ImageFormat = 'oci' | 'docker'

/** How a layer's tar is packed. */
export type LayerCompression = 'none' | 'gzip' | 'zstd'

const types: Readonly<Record<ImageFormat, Readonly<Partial<Record<LayerCompression, string>>>>> = {
  oci: { none: mediaTypes.ociLayer, gzip: mediaTypes.ociLayerGzip, zstd: mediaTypes.ociLayerZstd },
  docker: { none: mediaTypes.dockerLayer, gzip: mediaTypes.dockerLayerGzip },
}

/** Null where the format has none: Docker's has no type for zstd. */
export const layerTypeOf = (format: ImageFormat, compression: LayerCompression): string | null =>
  types[format][compression] ?? null

/** How a layer of this media type is packed; null for types that are not known, such as those of encrypted layers. */
export function compressionOf(mediaType: string): LayerCompression | null {
  for (const known of Object.values(types))
    for (const [compression, type] of Object.entries(known))
      if (type === mediaType) return compression as LayerCompression
  return null
}

/** Of the media type of a manifest. */
export const formatOf = (manifestType: string): ImageFormat =>
  manifestType === mediaTypes.dockerManifest ? 'docker' : 'oci'

/** The types of manifest and configuration. */
export const documentTypesOf = (format: ImageFormat): { readonly manifest: string; readonly config: string } =>
  format === 'oci'
    ? { manifest: mediaTypes.ociManifest, config: mediaTypes.ociConfig }
    : { manifest: mediaTypes.dockerManifest, config: mediaTypes.dockerConfig }
