import { Worker } from 'node:worker_threads'
import { abortError } from '../errors/call-errors.ts'
import { layerErrors } from '../errors/layer-errors.ts'
import type { RootMount } from '../host/launcher.ts'
import { startThreadPool } from '../host/thread-pool.ts'
import { workerEntry, workerExecArgv } from '../host/worker-entry.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { defaultLayerLimits, type LayerLimits } from './layer-limits.ts'
import type { LayerJob, LayerJobResult, LayerWorkerMessage } from './layer-worker-protocol.ts'
import { fromFailure } from './worker-failure.ts'

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
  options: ApplyLayerOptions = {},
): Promise<LayerJobResult> {
  throwIfAborted(options, 'Unpacking a layer')
  const job: LayerJob = { source, target, limits: { ...defaultLayerLimits, ...options.limits } }
  const result = await runWorker(job, options)
  if (options.expectDiffId !== undefined && result.diffId !== options.expectDiffId)
    throw layerErrors.error('diff_id_mismatch', {
      message: `A layer unpacks to ${result.diffId}; its image says ${options.expectDiffId}. Get the image again.`,
      details: { expected: options.expectDiffId, actual: result.diffId },
    })
  return result
}

async function runWorker(job: LayerJob, { signal, onBytes }: ApplyLayerOptions): Promise<LayerJobResult> {
  const { promise, resolve, reject } = Promise.withResolvers<LayerJobResult>()
  startThreadPool()
  const worker = new Worker(workerEntry('layer'), {
    workerData: job,
    execArgv: workerExecArgv(),
    resourceLimits: { maxOldGenerationSizeMb: 256 },
  })
  const onAbort = () => reject(abortError(signal!, 'Unpacking a layer'))
  signal?.addEventListener('abort', onAbort, { once: true })
  worker.on('message', (message: LayerWorkerMessage) => {
    if (message.type === 'progress') onBytes?.(message.bytes)
    else if (message.type === 'done') resolve(message.result)
    else reject(fromFailure(message.failure))
  })
  worker.on('error', (cause) =>
    reject(
      layerErrors.error('worker_lost', {
        message: `The thread that unpacked a layer failed: ${String(cause)}.`,
        cause,
      }),
    ),
  )
  worker.on('exit', (code) =>
    reject(layerErrors.error('worker_lost', { message: `The thread that unpacked a layer ended with code ${code}.` })),
  )
  try {
    return await promise
  } finally {
    signal?.removeEventListener('abort', onAbort)
    await worker.terminate()
  }
}
