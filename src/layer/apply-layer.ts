import { layerErrors } from '../errors/layer-errors.ts'
import type { RootMount } from '../host/launcher.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { runConfined } from './confined-worker.ts'
import { defaultLayerLimits, type LayerLimits } from './layer-limits.ts'
import type { LayerJob, LayerJobResult } from './layer-worker-protocol.ts'

/** Where a layer's bytes lie: a range of a file, plain or compressed with gzip or zstd. */
export interface LayerSource {
  readonly path: string
  readonly offset: number
  readonly length: number
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
  source: LayerSource,
  target: RootMount,
  { limits, expectDiffId, onBytes, signal }: ApplyLayerOptions = {},
): Promise<LayerJobResult> {
  const job: LayerJob = { source, target, limits: { ...defaultLayerLimits, ...limits } }
  const result = await runConfined<LayerJobResult>('layer', job, { doing: 'Unpacking a layer', signal, onBytes })
  if (expectDiffId !== undefined && result.diffId !== expectDiffId)
    throw layerErrors.error('diff_id_mismatch', {
      message: `A layer unpacks to ${result.diffId}; its image says ${expectDiffId}. Get the image again.`,
      details: { expected: expectDiffId, actual: result.diffId },
    })
  return result
}
