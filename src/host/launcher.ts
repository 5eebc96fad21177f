import type { CallOptions } from '../lifetime/call-options.ts'
import type { MountSpec } from './mount-spec.ts'
import type { NetnsPlan } from './netns-plan.ts'

/** The root of a program: where it is and what to mount there. */
export interface RootMount {
  /** Absolute path of an existing directory; several specs are stacked on it in order. */
  readonly target: string
  readonly mounts: readonly MountSpec[]
}

/** A program to start. */
export interface LaunchRequest {
  /**
   * Mounted before the program starts, in a mount namespace of the program's own: nobody else sees it, and it is gone
   * with the last process of that namespace, without an unmount.
   */
  readonly root?: RootMount
  /** A name looked up on the PATH of `env`, or a path. */
  readonly file: string
  readonly args: readonly string[]
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>
  /** Default `/`. */
  readonly cwd?: string
  /** Descriptors of this process that become 0, 1, 2, ... of the program. The caller closes its own copies. */
  readonly stdio: readonly (number | 'ignore')[]
  /** `own`: setsid, so that signals to the caller's group and terminal do not reach it. */
  readonly session: 'own' | 'caller'
}

/** How a program ended: one of the two is null. */
export interface ProcessExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A program that was started. */
export interface LaunchedProcess {
  readonly pid: number
  /**
   * Settles after the program ended and its own root mount is gone; never rejects. `{ code: null, signal: null }` means
   * that the launcher thread was lost and with it the status.
   *
   * Waiting for it does not keep this process alive: `ref` does.
   */
  readonly exited: Promise<ProcessExit>
  /** Keeps this process alive until the program ended or `unref` was called as often. Counted. */
  ref(): void
  /** Takes one `ref` back. */
  unref(): void
}

/** A mounted tree; disposal unmounts it, also when something still has files open there. */
export interface MountLease extends AsyncDisposable {
  /** Valid until disposal, in every process that may look into this one. */
  readonly path: string
}

/** A network namespace that lives as long as its descriptor is open or a process is in it. */
export interface Netns extends AsyncDisposable {
  /** A path that other programs can open: /proc/<pid of this process>/fd/<n>. */
  readonly path: string
  readonly fd: number
  /** Inode of the namespace. */
  readonly inode: number
}

/**
 * A thread with mount namespaces of its own: mounts container roots, starts programs and makes network namespaces
 * without stopping the event loop of the caller's thread. What it mounted is gone when the process is gone. Later mounts
 * and unmounts of the host are seen in it (it is a slave of the host's namespace), its own are never seen on the host.
 *
 * Started on first use; does not keep the process alive unless a call is pending or a launched process is `ref`d.
 * Programs start with umask 022 and without ignored or blocked signals. Aborting a call that has reached the thread
 * undoes it: a program that was started in the meantime is killed, a mount unmounted, a namespace closed.
 */
export interface Launcher extends AsyncDisposable {
  /** Starts a program; resolves when it has been started, not when it has ended. */
  launch(request: LaunchRequest, call?: CallOptions): Promise<LaunchedProcess>
  /** One lease per target at a time; a second is refused with `host.busy`. */
  mount(root: RootMount, call?: CallOptions): Promise<MountLease>
  /** Makes a network namespace with everything in the plan, or nothing. */
  createNetns(plan: NetnsPlan, call?: CallOptions): Promise<Netns>
}
