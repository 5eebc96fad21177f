import type { Compression } from '../content/detect-compression.ts'
import type { RootMount } from '../host/launcher.ts'
import type { Digest } from '../oci/digest.ts'
import type { ConfinedWorkerMessage } from './confined-worker.ts'
import type { LayerLimits } from './layer-limits.ts'

/** What the worker thread is to do; one job per thread, since it gives up its view of the machine for it. */
export interface LayerJob {
  readonly source: { readonly path: string; readonly offset: number; readonly length: number }
  /** The file is still being written: messages (`GrowthMessage`) tell how much of it is there. */
  readonly growing: boolean
  readonly target: RootMount
  readonly limits: LayerLimits
}

export interface LayerJobResult {
  readonly diffId: Digest
  /** Bytes of the uncompressed tar. */
  readonly size: number
  readonly entries: number
  /** Bytes of regular files. */
  readonly fileBytes: number
  readonly compression: Compression
}

export type LayerWorkerMessage = ConfinedWorkerMessage<LayerJobResult>
