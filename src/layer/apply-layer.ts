import { layerErrors } from '../errors/layer-errors.ts'
import type { RootMount } from '../host/launcher.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { runConfined } from './confined-worker.ts'
import type { GrowthMessage } from './growing-input.ts'
import { defaultLayerLimits, type LayerLimits } from './layer-limits.ts'
import type { LayerJob, LayerJobResult } from './layer-worker-protocol.ts'

/** Where a layer's bytes lie: a range of a file, plain or compressed with gzip or zstd. */
export interface LayerSource {
  readonly path: string
  readonly offset: number
  readonly length: number
}

/** A layer whose file, a whole one of its own, is still being written. */
export interface GrowingLayerSource extends LayerSource {
  /**
   * Tells at once, and whenever it has changed, how many bytes of the file there are; gives back what ends the telling.
   * What was there once must stay as it is. Abort the call when the file grows no more.
   */
  readonly follow: (tell: (available: number) => void) => () => void
}

export interface ApplyLayerOptions extends CallOptions {
  readonly limits?: Partial<LayerLimits> | undefined
  /** What sha256 of the uncompressed tar must be. */
  readonly expectDiffId?: Digest | undefined
  /** Uncompressed bytes applied so far. */
  readonly onBytes?: ((bytes: number) => void) | undefined
}

/**
 * Unpacks a layer into the tree that the mounts show, in a thread that has confined itself to it. On failure the tree is
 * half made: the caller throws it away.
 *
 * @throws `layer.*`, `call.aborted`
 */
export async function applyLayer(
  source: LayerSource | GrowingLayerSource,
  target: RootMount,
  { limits, expectDiffId, onBytes, signal }: ApplyLayerOptions = {},
): Promise<LayerJobResult> {
  const { path, offset, length } = source
  const growing = 'follow' in source
  const job: LayerJob = {
    source: { path, offset, length },
    growing,
    target,
    limits: { ...defaultLayerLimits, ...limits },
  }
  const feed = growing
    ? (tell: (message: GrowthMessage) => void) => source.follow((available) => tell({ available }))
    : undefined
  const result = await runConfined<LayerJobResult>('layer', job, { doing: 'Unpacking a layer', signal, onBytes, feed })
  if (expectDiffId !== undefined && result.diffId !== expectDiffId)
    throw layerErrors.error('diff_id_mismatch', {
      message: `A layer unpacks to ${result.diffId}; its image says ${expectDiffId}. Get the image again.`,
      details: { expected: expectDiffId, actual: result.diffId },
    })
  return result
}
