import type { ContainerId } from '../driver-kit/ids.ts'
import type { StoredSpec } from './stored-spec.ts'

/** Where a container is in its life. `creating`, `starting` and `removing` are short; what a kill left in them is repaired. */
export type ContainerStatus = 'creating' | 'created' | 'starting' | 'running' | 'paused' | 'exited' | 'removing'

/** `process`: nothing of it outlives the process that made it. `detached`: it survives. */
export type Lifetime = 'process' | 'detached'

/** How a container's first process ended. */
export interface ExitStatus {
  /** The program's own code, or 128 + the signal's number. */
  readonly exitCode: number
  readonly signal: string | null
  /** The kernel killed a process of it for memory. */
  readonly oomKilled: boolean
  readonly finishedAt: Date
}

/** A container as recorded; shared by all processes of a root. */
export interface ContainerRecord {
  readonly id: ContainerId
  readonly name: string
  readonly lifetime: Lifetime
  /** The owner that created it; a `process` container goes with it. */
  readonly owner: string | null
  /** The owner that runs it now: holds its pipes and waits for its end. */
  readonly holder: string | null
  readonly keep: boolean
  readonly spec: StoredSpec
  readonly status: ContainerStatus
  readonly pid: number | null
  readonly pidStart: string | null
  /** Null until it ended for the first time. */
  readonly exit: ExitStatus | null
  /** Why the last start failed. */
  readonly error: string | null
  readonly restartCount: number
  readonly createdAt: Date
  readonly startedAt: Date | null
}
