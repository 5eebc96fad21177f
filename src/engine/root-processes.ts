import { mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type FileLock, tryLock } from '../host/file-lock.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { RootPaths } from '../state/paths.ts'

/** What a process does for a root: found without its records, by titles, arguments and open files. */
export type RootProcessRole = 'monitor' | 'watcher' | 'waiter' | 'keeper'

/** What the process does for this root; null when it has nothing to do with it. */
export function roleOf(pid: string, paths: RootPaths): RootProcessRole | null {
  const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  if (command.includes('tscontainer-watcher'))
    return command.some((argument) => argument.includes(`"root":${JSON.stringify(paths.root)}`)) ? 'watcher' : null
  for (const [name, role] of [
    ['tscontainer-wait', 'waiter'],
    ['tscontainer-keeper', 'keeper'],
  ] as const)
    if (command.includes(name)) return command.some((argument) => argument.startsWith(`${paths.root}/`)) ? role : null
  const isMonitor = command[0]?.startsWith('tscontainer-monitor') === true && hasOpenBelow(pid, paths.root)
  return isMonitor ? 'monitor' : null
}

function hasOpenBelow(pid: string, directory: string): boolean {
  const descriptors = `/proc/${pid}/fd`
  return readdirSync(descriptors).some((fd) => readlinkSync(join(descriptors, fd)).startsWith(`${directory}/`))
}

/** Ends what `isMeant` says; gives how many. */
export function killProcesses(isMeant: (pid: string) => boolean): number {
  let killed = 0
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    try {
      if (!isMeant(pid)) continue
      process.kill(Number(pid), 'SIGKILL')
      killed++
    } catch {
      // It has ended meanwhile.
    }
  }
  return killed
}

/**
 * Ends the monitor of a root, and keeps others from coming up while the lock is held; detached containers run on. The
 * watchers first, because they would start it again; keepers find the lock held and wait. So does another repair.
 */
export async function endMonitor(paths: RootPaths, call?: CallOptions): Promise<FileLock> {
  mkdirSync(paths.run, { recursive: true, mode: 0o700 })
  for (;;) {
    throwIfAborted(call, 'Ending the monitor')
    killProcesses((pid) => roleOf(pid, paths) === 'watcher')
    killProcesses((pid) => roleOf(pid, paths) === 'monitor')
    const lock = tryLock(join(paths.run, 'monitor.lock'))
    if (lock) return lock
    await sleep(20)
  }
}
