import type { ResourceUsage } from '../host/cgroup/usage.ts'
import type { MountLease, RootMount } from '../host/launcher.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { RuntimeProcess as ProcessSpec, RuntimeResources, RuntimeSpec } from '../oci/runtime-spec.ts'
import type { ContainerId } from './ids.ts'

/** Descriptors of this process that the container's process gets; the caller closes its own copies. */
export type Stdio =
  | { readonly kind: 'pipes'; readonly stdin: number | null; readonly stdout: number; readonly stderr: number }
  /** The slave side of a terminal, for all three. */
  | { readonly kind: 'terminal'; readonly slave: number }

/** What a runtime needs to run one container. */
export interface Bundle {
  /** An existing directory of the container's own; the driver writes config.json and its own files there. */
  readonly directory: string
  readonly spec: RuntimeSpec
  /** Where the root is and how to mount it; `spec.root.path` equals `root.target`. */
  readonly root: RootMount
  /** Mounts the root once more, elsewhere, when the driver wants to see why a program could not be executed. */
  lookAtRoot?(): Promise<MountLease>
  readonly stdio: Stdio
  readonly lifetime: 'process' | 'detached'
}

/** How a container ended. */
export interface RuntimeExit {
  /** The program's own code, or 128 + signal. */
  readonly exitCode: number
  readonly signal: string | null
  readonly oomKilled: boolean
  readonly finishedAt: Date
}

/** A process that runs in a container besides its first one. */
export interface RuntimeExec {
  /** Its pid on the host. */
  readonly pid: number
  /** Until it settles it keeps this process alive, as a child process does. */
  readonly exited: Promise<{ readonly exitCode: number; readonly signal: string | null }>
  /** Signals this process only. */
  kill(signal: number): Promise<void>
}

/** A running container. */
export interface RuntimeTask {
  readonly id: ContainerId
  /** The first process's pid on the host, with its start time in clock ticks since boot (proc(5), field 22). */
  readonly pid: number
  readonly startTime: string
  /** Settles when the container has ended and its runtime state, mounts and cgroup are gone. Never rejects. */
  readonly exited: Promise<RuntimeExit>
  /**
   * Called when the output of an ended container has been taken. Until then a detached one's pipes keep what they hold,
   * whether or not anybody holds them.
   */
  releaseOutput?(): void
  /** Signals the first process; no error when it has ended. */
  kill(signal: number, call?: CallOptions): Promise<void>
  /** SIGKILL to every process of the container. */
  killAll(call?: CallOptions): Promise<void>
  /** Starts one more process in the container; same errors as `RuntimeDriver.run`. */
  exec(process: ProcessSpec, stdio: Stdio, call?: CallOptions): Promise<RuntimeExec>
  /** Freezes all processes of the container; resolves when they stand still. */
  pause(call?: CallOptions): Promise<void>
  /** Lets them go on. */
  resume(call?: CallOptions): Promise<void>
  /** Changes limits while the container runs; what is absent stays. */
  update(resources: RuntimeResources, call?: CallOptions): Promise<void>
  /** What the container has used since its start; null when it has ended. */
  usage(call?: CallOptions): Promise<ResourceUsage | null>
  /** Host pids of all its processes. */
  processes(call?: CallOptions): Promise<readonly number[]>
}

/**
 * # Runtime drivers
 *
 * Start containers from bundles. `run` resolves when the user's program has been executed; it rejects with
 * `runtime.command_not_found` (exit 127), `runtime.command_not_executable` (126) or `runtime.start_failed` (125), and
 * then nothing of the container is left. Create and start are one call because one process is 9 ms cheaper than three.
 */
export interface RuntimeDriver extends AsyncDisposable {
  readonly name: string
  /** How it takes system call filters: as the rules of config.json, or compiled in the annotation `run.oci.seccomp_bpf_data`. */
  readonly seccompForm: 'profile' | 'crun-bpf'
  readonly facts: Readonly<Record<string, string>>
  /** Starts a container; see above. */
  run(id: ContainerId, bundle: Bundle, call?: CallOptions): Promise<RuntimeTask>
  /**
   * Finds a detached container that another process started, or was starting when it died; `null` when its program was
   * never executed, or is gone and left no exit status. A run that had ended at `endedBefore` is not the one meant.
   */
  adopt(
    id: ContainerId,
    bundle: Pick<Bundle, 'directory' | 'spec' | 'root'> & { readonly endedBefore?: Date | undefined },
    call?: CallOptions,
  ): Promise<RuntimeTask | null>
  /** Removes what a crash left of a container that is not to run (state directory, cgroup, processes). Idempotent. */
  sweep(id: ContainerId, bundle: Pick<Bundle, 'directory' | 'spec'>, call?: CallOptions): Promise<void>
}
