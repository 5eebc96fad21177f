import { Worker } from 'node:worker_threads'
import { abortError } from '../errors/call-errors.ts'
import { layerErrors } from '../errors/layer-errors.ts'
import { atExit } from '../host/at-exit.ts'
import { startThreadPool } from '../host/thread-pool.ts'
import { exitWaitMs, ThreadStop } from '../host/thread-stop.ts'
import { type WorkerName, workerEntry, workerExecArgv } from '../host/worker-entry.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { GrowthMessage } from './growing-input.ts'
import { fromFailure, type WorkerFailure } from './worker-failure.ts'

/** What a worker says: how far it is, and how it ended. */
export type ConfinedWorkerMessage<Result> =
  | { readonly type: 'progress'; readonly bytes: number }
  | { readonly type: 'done'; readonly result: Result }
  | { readonly type: 'failed'; readonly failure: WorkerFailure }

export interface ConfinedWorkerOptions extends CallOptions {
  /** For messages: `Unpacking a layer`. */
  readonly doing: string
  readonly onBytes?: ((bytes: number) => void) | undefined
  /** Given the way to tell the thread something while it works; gives back what ends the telling. */
  readonly feed?: ((tell: (message: GrowthMessage) => void) => () => void) | undefined
}

/** What a confined thread is started with. */
export interface ConfinedWorkerData<Job> {
  /** Null: jobs come as messages. */
  readonly job: Job | null
  /** Of its `ThreadStop`. */
  readonly stop: Int32Array<SharedArrayBuffer>
}

/** A thread for work on trees. While it works nothing may `terminate` it: `askWorker` returns when it has come to rest. */
export interface ConfinedThread {
  readonly worker: Worker
  readonly stop: ThreadStop
}

/**
 * Runs one job in a thread of its own, which confines itself and therefore does no second one. Settles when the thread is
 * gone, and with it what it had mounted.
 */
export async function runConfined<Result>(
  name: WorkerName,
  job: object,
  options: ConfinedWorkerOptions,
): Promise<Result> {
  if (options.signal?.aborted) throw abortError(options.signal, options.doing)
  const thread = startConfined(name, job)
  try {
    return await askWorker<Result>(thread, options)
  } finally {
    await thread.worker.terminate()
  }
}

/** Starts a thread for work on trees; null as its job means that jobs come as messages. */
export function startConfined(name: WorkerName, job: object | null): ConfinedThread {
  startThreadPool()
  const stop = new ThreadStop()
  const worker = new Worker(workerEntry(name), {
    workerData: { job, stop: stop.shared } satisfies ConfinedWorkerData<object>,
    execArgv: workerExecArgv(),
    env: {},
    name: `tscontainer-${name}`,
    // Files that an aborted job had open are closed with the thread.
    trackUnmanagedFds: true,
    resourceLimits: { maxOldGenerationSizeMb: 1024 },
  })
  // What goes wrong in a thread that nobody asks is nobody's error.
  worker.on('error', () => {})
  const thread = { worker, stop }
  const stay = atExit(() => {
    askToStop(thread)
    return () => stop.waitForRest(exitWaitMs)
  })
  worker.once('exit', stay)
  return thread
}

function askToStop({ worker, stop }: ConfinedThread): void {
  stop.ask()
  // Nothing has grown; but it may be waiting for that.
  worker.postMessage({ available: 0 } satisfies GrowthMessage)
}

/**
 * What the thread says of the job it has. After an abort it is asked to stop, and waited for. After a failure or an abort
 * it must be terminated.
 */
export async function askWorker<Result>(
  thread: ConfinedThread,
  { doing, signal, onBytes, feed }: ConfinedWorkerOptions,
): Promise<Result> {
  const { worker } = thread
  const { promise, resolve, reject } = Promise.withResolvers<Result>()
  const onAbort = () => askToStop(thread)
  const onMessage = (message: ConfinedWorkerMessage<Result>) => {
    if (message.type === 'progress') onBytes?.(message.bytes)
    else if (message.type === 'done') resolve(message.result)
    else reject(fromFailure(message.failure))
  }
  const onError = (cause: NodeJS.ErrnoException) => reject(lost(doing, cause))
  const onExit = (code: number) => reject(lost(doing, new Error(`the thread ended with code ${code}`)))
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  worker.on('message', onMessage).on('error', onError).on('exit', onExit)
  const stopFeeding = feed?.((message) => worker.postMessage(message))
  try {
    return await promise
  } catch (error) {
    throw signal?.aborted ? abortError(signal, doing) : error
  } finally {
    stopFeeding?.()
    signal?.removeEventListener('abort', onAbort)
    worker.off('message', onMessage).off('error', onError).off('exit', onExit)
  }
}

const lost = (doing: string, cause: NodeJS.ErrnoException) =>
  cause.code === 'ERR_WORKER_OUT_OF_MEMORY'
    ? layerErrors.error('limit_exceeded', {
        message: `${doing} needs more than 1 GiB of memory for the names alone: there are too many entries.`,
        cause,
      })
    : layerErrors.error('worker_lost', { message: `${doing} failed with its thread: ${cause.message}.`, cause })
