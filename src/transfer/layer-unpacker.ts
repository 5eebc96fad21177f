import type { Lease } from '../content/lease.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { ProgressSink } from '../progress/progress-event.ts'
import type { ComingLayer } from './coming-layer.ts'

/** Where the bytes of a layer lie, compressed or not: a range of a file. */
export interface LayerFile {
  readonly path: string
  /** Bytes. */
  readonly offset: number
  readonly length: number
}

/** One layer of an image that is to become a committed snapshot. */
export interface LayerToUnpack {
  /** sha256 of the uncompressed tar; the unpacker verifies it while it applies. */
  readonly diffId: Digest
  /** Names the snapshot. */
  readonly chainId: Digest
  /** What is still on its way is unpacked as it comes, after the layers below it. */
  readonly source: LayerFile | ComingLayer
}

export interface UnpackOptions extends CallOptions {
  /** Holds the snapshots until an image names them. */
  readonly lease: Lease
  /** One `item-done` per layer, its item the diff id, `reused` when the snapshot was there. */
  readonly report?: ProgressSink | undefined
}

/** Turns a stack of layers, base first, into committed snapshots. What is committed already is not applied again. */
export interface LayerUnpacker {
  unpack(layers: readonly LayerToUnpack[], options: UnpackOptions): Promise<void>
}
