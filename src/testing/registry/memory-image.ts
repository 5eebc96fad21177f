import { gzipSync } from 'node:zlib'
import type { Descriptor } from '../../oci/descriptor.ts'
import { digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { hostPlatform } from '../../oci/platform.ts'

/** What an image of a `FaultyRegistry` is made from. */
export interface MemoryImageOptions {
  /** Tars, base first. Default: one empty tar. */
  readonly layers?: readonly Uint8Array[] | undefined
  /** Layers as they are stored; default: each as gzip. One entry per layer, with its media type. */
  readonly packed?: readonly { readonly mediaType: string; readonly bytes: Uint8Array }[] | undefined
  /** Default: this machine's. */
  readonly platform?:
    | { readonly os: string; readonly architecture: string; readonly variant?: string | undefined }
    | undefined
  /** Put over the configuration that is made. */
  readonly config?: Readonly<Record<string, unknown>> | undefined
  /** Put over the manifest that is made: for wrong sizes, digests and media types. */
  readonly manifest?: Readonly<Record<string, unknown>> | undefined
}

/** An image as its registry stores it. */
export interface MemoryImage {
  readonly manifest: Descriptor
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  /** Bytes of the manifest. */
  readonly bytes: Buffer
  /** Bytes of the other blobs by digest. */
  readonly blobs: ReadonlyMap<string, Buffer>
}

const emptyTar = Buffer.alloc(1024)

/** The descriptor of some bytes. */
export const describeBytes = (bytes: Uint8Array, mediaType: string): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
})

/** Makes an OCI image in memory. */
export function makeImage(options: MemoryImageOptions = {}): MemoryImage {
  const { layers = [emptyTar], platform = hostPlatform() } = options
  const packed = options.packed ?? layers.map((tar) => ({ mediaType: mediaTypes.ociLayerGzip, bytes: gzipSync(tar) }))
  const blobs = new Map<string, Buffer>()
  const store = (bytes: Uint8Array, mediaType: string): Descriptor => {
    const descriptor = describeBytes(bytes, mediaType)
    blobs.set(descriptor.digest, Buffer.from(bytes))
    return descriptor
  }
  const config = store(
    Buffer.from(
      JSON.stringify({
        os: platform.os,
        architecture: platform.architecture,
        ...(platform.variant === undefined ? {} : { variant: platform.variant }),
        config: {},
        rootfs: { type: 'layers', diff_ids: layers.map((tar) => digestOf(tar)) },
        ...options.config,
      }),
    ),
    mediaTypes.ociConfig,
  )
  const stored = packed.map(({ bytes, mediaType }) => store(bytes, mediaType))
  const document = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: stored, ...options.manifest }
  const bytes = Buffer.from(JSON.stringify(document))
  return {
    manifest: { ...describeBytes(bytes, document.mediaType), platform: { ...platform } as never },
    config,
    layers: stored,
    bytes,
    blobs,
  }
}
