/** What a layer may make; beyond it the layer is refused with `layer.limit_exceeded`. */
export interface LayerLimits {
  /** Default 4,000,000. */
  readonly entries: number
  /** Bytes of the uncompressed tar. Default 256 GiB. */
  readonly totalBytes: number
  /** Bytes of one file, holes included. Default 1 TiB. */
  readonly fileBytes: number
  /** Uncompressed bytes per compressed byte, looked at beyond 64 MiB. Default 2,000 (gzip cannot do more than 1,032). */
  readonly expansion: number
  /** Bytes of a path. Default 4096, the kernel's own limit. */
  readonly pathBytes: number
  /** Components of a path. Default 256. */
  readonly pathDepth: number
  /** Bytes of one extended header. Default 1 MiB. */
  readonly headerBytes: number
}

export const defaultLayerLimits: LayerLimits = {
  entries: 4_000_000,
  totalBytes: 256 * 2 ** 30,
  fileBytes: 2 ** 40,
  expansion: 2000,
  pathBytes: 4096,
  pathDepth: 256,
  headerBytes: 1 << 20,
}
