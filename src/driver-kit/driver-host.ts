import type { Cgroups } from '../host/cgroup/cgroups.ts'
import type { CommandOptions, CommandResult } from '../host/command.ts'
import type { FileLock } from '../host/file-lock.ts'
import type { Firewall } from '../host/firewall.ts'
import type { KernelFeatures } from '../host/kernel.ts'
import type { Launcher } from '../host/launcher.ts'
import type { Links } from '../host/links.ts'
import type { MountTable } from '../host/mount-table.ts'
import type { ProcessControl } from '../host/process-control.ts'
import type { ProjectQuotas } from '../host/project-quotas.ts'
import type { Xattrs } from '../host/xattr.ts'

/** The version of this contract; drivers declare the range they were written for. */
export const driverKitVersion = '1.1.0'

/**
 * All that drivers may do to the machine. The same object in every driver; tests hand in fakes, and conformance suites
 * count and fail its calls.
 */
export interface DriverHost {
  /** Runs a program to its end, without a shell. */
  run(file: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>
  readonly launcher: Launcher
  readonly links: Links
  readonly firewall: Firewall
  readonly xattrs: Xattrs
  readonly cgroups: Cgroups
  readonly processes: ProcessControl
  /** Limits of what directories occupy. Since 1.1. */
  readonly projectQuotas: ProjectQuotas
  /** Makes a named pipe, mode 0600. */
  makeFifo(path: string): void
  /** The mounts of the host as this process sees them, read anew. */
  mountTable(): MountTable
  /** What the kernel can do; probed once. */
  features(): KernelFeatures
  /**
   * Takes an exclusive lock on a file (made when missing), or gives `null` when anybody else holds it. The kernel
   * releases it when this process ends, however it ends: the way to tell the living from the dead.
   */
  tryLock(path: string): FileLock | null
}
