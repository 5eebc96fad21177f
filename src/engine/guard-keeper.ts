import { setTimeout as sleep } from 'node:timers/promises'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { CgroupParent } from '../host/cgroup/parent.ts'
import { type Guard, startGuard } from '../host/guard.ts'

/** A guard that is killed before it watches is no reason for a container not to start; a machine without /bin/sh is. */
const attempts = 5
/** How long to wait after a guard that could not be started. */
const firstPauseMs = 10
const longestPauseMs = 5000

/** Keeps a guard beside this process from its first `process` container on; starts another one when it is killed. */
export class GuardKeeper implements AsyncDisposable {
  readonly #engineId: string
  readonly #cgroups: () => CgroupParent
  readonly #diagnostics: DiagnosticsSink
  #guard: Promise<Guard> | null = null
  #pid: number | null = null
  #disposed = false

  constructor(engineId: string, cgroups: () => CgroupParent, diagnostics: DiagnosticsSink) {
    this.#engineId = engineId
    this.#cgroups = cgroups
    this.#diagnostics = diagnostics
  }

  /** The guard that watches; null before the first and between two. */
  get pid(): number | null {
    return this.#pid
  }

  /** Resolves when a guard watches. */
  async ready(): Promise<void> {
    this.#guard ??= this.#start()
    await this.#guard
  }

  async #start(): Promise<Guard> {
    try {
      const guard = await this.#started()
      this.#pid = guard.pid
      void guard.exited.then(() => this.#replace())
      return guard
    } catch (error) {
      this.#guard = null
      throw error
    }
  }

  async #started(): Promise<Guard> {
    for (let attempt = 1; ; attempt++)
      try {
        return await startGuard({ engineId: this.#engineId, cgroups: this.#cgroups() })
      } catch (error) {
        if (attempt === attempts || this.#disposed) throw error
      }
  }

  /** Until one watches: containers that run are not to be without. */
  async #replace(): Promise<void> {
    this.#pid = null
    this.#guard = null
    for (let pause = firstPauseMs; !this.#disposed; pause = Math.min(longestPauseMs, pause * 2)) {
      try {
        return await this.ready()
      } catch (error) {
        this.#diagnostics({
          level: 'error',
          source: 'engine',
          message: 'The guard was killed and another could not be started yet: containers may outlive this process.',
          error,
        })
      }
      await sleep(pause, undefined, { ref: false })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    const guard = await this.#guard?.catch(() => null)
    await guard?.[Symbol.asyncDispose]()
  }
}
