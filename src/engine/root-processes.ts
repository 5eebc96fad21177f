import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RootPaths } from '../state/paths.ts'

/** What a process does for a root: found without its records, by titles, arguments and open files. */
export type RootProcessRole = 'monitor' | 'watcher' | 'waiter'

/** What the process does for this root; null when it has nothing to do with it. */
export function roleOf(pid: string, paths: RootPaths): RootProcessRole | null {
  const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  if (command.includes('tscontainer-watcher'))
    return command.some((argument) => argument.includes(`"root":${JSON.stringify(paths.root)}`)) ? 'watcher' : null
  if (command.includes('tscontainer-wait'))
    return command.some((argument) => argument.startsWith(`${paths.root}/`)) ? 'waiter' : null
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
 * Ends the monitor of a root for good; detached containers run on and are adopted by the next one. The watchers first,
 * because they would start it again, and once more, because a monitor that comes up starts a watcher.
 */
export async function endMonitor(paths: RootPaths): Promise<void> {
  for (let round = 0; round < 50; round++) {
    const watchers = killProcesses((pid) => roleOf(pid, paths) === 'watcher')
    const monitors = killProcesses((pid) => roleOf(pid, paths) === 'monitor')
    if (watchers + monitors === 0) return
    await sleep(20)
  }
}
