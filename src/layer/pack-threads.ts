import type { Worker } from 'node:worker_threads'
import { askWorker, type ConfinedWorkerOptions, runConfined, startConfined } from './confined-worker.ts'
import type { PackJob } from './pack-tar.ts'

export interface PackThreadsOptions {
  /** Milliseconds that a thread without work is kept. Default ten seconds. */
  readonly idleMs?: number | undefined
}

/**
 * Threads that read trees, one job after the other: a thread takes some ten milliseconds to come up, and commits and
 * diffs are often made in a row. Each keeps 10 to 15 MB while it waits for its next job, and ends after ten seconds.
 */
export class PackThreads implements AsyncDisposable {
  readonly #idle: { readonly worker: Worker; readonly timer: NodeJS.Timeout }[] = []
  readonly #idleMs: number
  #disposed = false

  constructor({ idleMs = 10_000 }: PackThreadsOptions = {}) {
    this.#idleMs = idleMs
  }

  /** Runs a job in a thread that waits, or in a new one. One whose job failed is not used again. */
  async run<Result>(job: PackJob, options: ConfinedWorkerOptions): Promise<Result> {
    // It moves into the program's own namespace and does not come back.
    if (job.task === 'tar' && job.subject.kind === 'running') return runConfined('pack', job, options)
    const waiting = this.#idle.pop()
    clearTimeout(waiting?.timer)
    const worker = waiting?.worker ?? this.#start()
    worker.ref()
    try {
      worker.postMessage(job)
      const result = await askWorker<Result>(worker, options)
      this.#keep(worker)
      return result
    } catch (error) {
      await worker.terminate()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    await Promise.all(
      this.#idle.splice(0).map(({ worker, timer }) => {
        clearTimeout(timer)
        return worker.terminate()
      }),
    )
  }

  #start(): Worker {
    const worker = startConfined('pack', null)
    return worker.once('exit', () => this.#forget(worker))
  }

  #forget(worker: Worker): void {
    const at = this.#idle.findIndex((waiting) => waiting.worker === worker)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  #keep(worker: Worker): void {
    // One is enough for what comes in a row.
    if (this.#disposed || this.#idle.length > 0) {
      void worker.terminate()
      return
    }
    worker.unref()
    const timer = setTimeout(() => {
      // Before it has ended nobody may give it a job.
      this.#forget(worker)
      void worker.terminate()
    }, this.#idleMs)
    timer.unref()
    this.#idle.push({ worker, timer })
  }
}
