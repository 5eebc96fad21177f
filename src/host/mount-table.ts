/** A line of /proc/<pid>/mountinfo. Source: proc_pid_mountinfo(5). */
export interface MountEntry {
  readonly id: number
  readonly parent: number
  /** `major:minor` of the file system's device. */
  readonly device: string
  /** Which directory of the file system is mounted. */
  readonly root: string
  readonly target: string
  readonly options: readonly string[]
  readonly propagation: readonly string[]
  readonly type: string
  readonly source: string
  readonly superOptions: readonly string[]
}

/** All mounts that a process sees, in the order they were made. */
export type MountTable = readonly MountEntry[]
