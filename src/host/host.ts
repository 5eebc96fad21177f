import { type Cgroups, cgroups } from './cgroup/cgroups.ts'
import type { CommandOptions, CommandResult } from './command.ts'
import { type FileLock, tryLock } from './file-lock.ts'
import type { Firewall } from './firewall.ts'
import { createFirewall } from './firewall-nftables.ts'
import type { KernelFeatures } from './kernel.ts'
import { readKernelFeatures } from './kernel-features.ts'
import type { Launcher } from './launcher.ts'
import { createLauncher } from './launcher-client.ts'
import type { Links } from './links.ts'
import { createLinks } from './links-rtnetlink.ts'
import { memo } from './memo.ts'
import { readMountTable } from './mount-info.ts'
import type { MountTable } from './mount-table.ts'
import { makeFifo } from './pipe.ts'
import { type ProcessControl, processControl } from './process-control.ts'
import { type ProjectQuotas, projectQuotas } from './project-quotas.ts'
import { runCommand } from './run-command.ts'
import type { Xattrs } from './xattr.ts'
import { createXattrs } from './xattrs.ts'

/** All contact with the machine, as one object; drivers get it as their `DriverHost`. Disposal ends the launcher. */
export interface Host extends AsyncDisposable {
  run(file: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>
  readonly launcher: Launcher
  readonly links: Links
  readonly firewall: Firewall
  readonly xattrs: Xattrs
  readonly cgroups: Cgroups
  readonly processes: ProcessControl
  readonly projectQuotas: ProjectQuotas
  /** Makes a named pipe, mode 0600. */
  makeFifo(path: string): void
  mountTable(): MountTable
  features(): KernelFeatures
  /** An exclusive lock, or `null` when anybody else holds it. */
  tryLock(path: string): FileLock | null
  /** Starts the launcher's thread ahead of its first call; for engines that expect to run containers. */
  prepare(): void
}

export interface HostOptions {
  /** Where background failures go. */
  readonly diagnostics: (diagnostic: {
    readonly level: 'debug' | 'info' | 'warning' | 'error'
    readonly source: string
    readonly message: string
    readonly error?: unknown
  }) => void
}

/** The real machine. Cheap: threads, sockets and libraries are started by the first call that needs them. */
export function createHost(options: HostOptions): Host {
  const launcher = createLauncher(options)
  const links = memo(createLinks)
  const firewall = memo(createFirewall)
  return {
    run: runCommand,
    launcher,
    get links() {
      return links()
    },
    get firewall() {
      return firewall()
    },
    xattrs: createXattrs(),
    cgroups,
    processes: processControl,
    projectQuotas,
    makeFifo,
    mountTable: () => readMountTable(),
    features: readKernelFeatures,
    tryLock: (path) => tryLock(path),
    prepare: () => launcher.prepare(),
    [Symbol.asyncDispose]: () => launcher[Symbol.asyncDispose](),
  }
}
