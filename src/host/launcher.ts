import type { CallOptions } from '../lifetime/call-options.ts'
import type { MountSpec } from './mount-spec.ts'
import type { NetnsPlan } from './netns-plan.ts'

export interface RootMount {
  /** Absolute path of an existing directory; several specs are stacked on it in order. */
  readonly target: string
  readonly mounts: readonly MountSpec[]
}

export interface LaunchRequest {
  /** Mounted in the launcher's namespace before the program starts, unmounted after it ended. */
  readonly root?: RootMount
  readonly file: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Descriptors of this process that become 0, 1, 2, ... of the program. */
  readonly stdio: readonly (number | 'ignore')[]
  /** `own`: setsid, so that signals to the caller's group and terminal do not reach it. */
  readonly session: 'own' | 'caller'
}

export interface ProcessExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface LaunchedProcess {
  readonly pid: number
  /** Settles after the program ended and its root was unmounted; never rejects. */
  readonly exited: Promise<ProcessExit>
}

/** A mounted tree; `path` is valid in this whole process (it leads through the launcher thread's root). */
export interface MountLease extends AsyncDisposable {
  readonly path: string
}

/** A network namespace that lives as long as its descriptor is open or a process is in it. */
export interface Netns extends AsyncDisposable {
  /** A path that other programs can open: /proc/<pid of this process>/fd/<n>. */
  readonly path: string
  /** Inode of the namespace. */
  readonly inode: number
}

/**
 * A thread with a mount namespace of its own: mounts container roots, starts programs and makes network namespaces
 * without stopping the event loop of the caller's thread. What it mounted is gone when the process is gone.
 * Started on first use; does not keep the process alive unless a call is pending.
 */
export interface Launcher extends AsyncDisposable {
  launch(request: LaunchRequest, call?: CallOptions): Promise<LaunchedProcess>
  mount(root: RootMount, call?: CallOptions): Promise<MountLease>
  createNetns(plan: NetnsPlan, call?: CallOptions): Promise<Netns>
}
