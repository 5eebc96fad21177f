import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { CgroupParent } from '../host/cgroup/parent.ts'
import { type Guard, startGuard } from '../host/guard.ts'

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
      const guard = await startGuard({ engineId: this.#engineId, cgroups: this.#cgroups() })
      this.#pid = guard.pid
      void guard.exited.then(() => {
        this.#pid = null
        if (this.#disposed) return
        this.#guard = this.#start()
        this.#guard.catch((error: unknown) => {
          this.#diagnostics({
            level: 'error',
            source: 'engine',
            message: 'The guard was killed and another could not be started: containers may outlive this process.',
            error,
          })
        })
      })
      return guard
    } catch (error) {
      this.#guard = null
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    const guard = await this.#guard?.catch(() => null)
    await guard?.[Symbol.asyncDispose]()
  }
}
