import { abortError } from '../errors/call-errors.ts'
import {
  askWorker,
  type ConfinedThread,
  type ConfinedWorkerOptions,
  runConfined,
  startConfined,
} from './confined-worker.ts'
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
  readonly #idle: { readonly thread: ConfinedThread; readonly timer: NodeJS.Timeout }[] = []
  readonly #idleMs: number
  #disposed = false

  constructor({ idleMs = 10_000 }: PackThreadsOptions = {}) {
    this.#idleMs = idleMs
  }

  /** Runs a job in a thread that waits, or in a new one. One whose job failed is not used again. */
  async run<Result>(job: PackJob, options: ConfinedWorkerOptions): Promise<Result> {
    if (options.signal?.aborted) throw abortError(options.signal, options.doing)
    // It moves into the program's own namespace and does not come back.
    if (job.task === 'tar' && job.subject.kind === 'running') return runConfined('pack', job, options)
    const waiting = this.#idle.pop()
    clearTimeout(waiting?.timer)
    const thread = waiting?.thread ?? this.#start()
    thread.worker.ref()
    try {
      thread.worker.postMessage(job)
      const result = await askWorker<Result>(thread, options)
      this.#keep(thread)
      return result
    } catch (error) {
      await thread.worker.terminate()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    await Promise.all(
      this.#idle.splice(0).map(({ thread, timer }) => {
        clearTimeout(timer)
        return thread.worker.terminate()
      }),
    )
  }

  #start(): ConfinedThread {
    const thread = startConfined('pack', null)
    thread.worker.once('exit', () => this.#forget(thread))
    return thread
  }

  #forget(thread: ConfinedThread): void {
    const at = this.#idle.findIndex((waiting) => waiting.thread === thread)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  #keep(thread: ConfinedThread): void {
    const { worker, stop } = thread
    // One is enough for what comes in a row. One that was asked to stop, too late for its job, does no other.
    if (this.#disposed || this.#idle.length > 0 || stop.asked) {
      void worker.terminate()
      return
    }
    worker.unref()
    const timer = setTimeout(() => {
      // Before it has ended nobody may give it a job.
      this.#forget(thread)
      void worker.terminate()
    }, this.#idleMs)
    timer.unref()
    this.#idle.push({ thread, timer })
  }
}
