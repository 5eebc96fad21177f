import { Worker } from 'node:worker_threads'
import { abortError } from '../errors/call-errors.ts'
import { layerErrors } from '../errors/layer-errors.ts'
import type { RootMount } from '../host/launcher.ts'
import { startThreadPool } from '../host/thread-pool.ts'
import { workerEntry, workerExecArgv } from '../host/worker-entry.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { fromFailure, type WorkerFailure } from './worker-failure.ts'

/** What to write: a whole tree; an overlay's upper directory (bound to the target) as a layer; or what two trees differ in. */
export type PackSubject =
  | { readonly kind: 'tree' | 'overlay-changes'; readonly tree: RootMount }
  /** Both targets lie directly below `directory`. */
  | {
      readonly kind: 'changed-tree'
      readonly older: RootMount | null
      readonly newer: RootMount
      readonly directory: string
    }

export interface PackJob {
  readonly what: PackSubject
  /** A blocking descriptor of this process. */
  readonly output: number
}

export interface PackResult {
  readonly bytes: number
  readonly entries: number
}

export type PackWorkerMessage =
  | { readonly type: 'done'; readonly result: PackResult }
  | { readonly type: 'failed'; readonly failure: WorkerFailure }

/**
 * Writes a tar to a descriptor, in a thread that has confined itself to the tree. The same tree always gives the same
 * bytes: names in byte order, PAX records where ustar is too small, whiteouts as OCI layers have them. The descriptor
 * stays open.
 *
 * @throws `layer.disk_full`, `layer.apply_failed`, `call.aborted`
 */
export async function packTar(what: PackSubject, output: number, call?: CallOptions): Promise<PackResult> {
  throwIfAborted(call, 'Writing a tar')
  const { promise, resolve, reject } = Promise.withResolvers<PackResult>()
  const workerData: PackJob = { what, output }
  startThreadPool()
  const worker = new Worker(workerEntry('pack'), { workerData, execArgv: workerExecArgv(), trackUnmanagedFds: false })
  const onAbort = () => reject(abortError(call!.signal!, 'Writing a tar'))
  call?.signal?.addEventListener('abort', onAbort, { once: true })
  worker.on('message', (message: PackWorkerMessage) =>
    message.type === 'done' ? resolve(message.result) : reject(fromFailure(message.failure)),
  )
  const lost = (cause: unknown) =>
    reject(
      layerErrors.error('worker_lost', { message: `The thread that wrote a tar ended by itself: ${cause}.`, cause }),
    )
  worker.on('error', lost)
  worker.on('exit', lost)
  try {
    return await promise
  } finally {
    call?.signal?.removeEventListener('abort', onAbort)
    await worker.terminate()
  }
}
