import type { CgroupParent } from './cgroup/parent.ts'
import type { ProcessExit } from './launcher.ts'

/** Name of the environment variable that marks the programs an engine started; its value is the engine's id. */
export const engineMarker = 'TSCONTAINER_ENGINE'

/**
 * A tiny `sh` in a session and cgroup of its own that ends everything of an engine once the engine's process is gone:
 * processes marked with `engineMarker` and those in the engine's cgroups. It learns of the end by EOF on a pipe that
 * only the engine's process holds.
 */
export interface Guard extends AsyncDisposable {
  readonly pid: number
  /** Settles when the guard has ended: after disposal, or because somebody killed it; then start another. */
  readonly exited: Promise<ProcessExit>
  /** Tells it to leave without ending anything. */
  [Symbol.asyncDispose](): Promise<void>
}

export interface GuardOptions {
  readonly engineId: string
  /** Where the engine's containers are; ended and removed by the guard. */
  readonly cgroups: CgroupParent
}

/** Resolves when the guard watches. */
export async function startGuard(_options: GuardOptions): Promise<Guard> {
  throw new Error('being written')
}
