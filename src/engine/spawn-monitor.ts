import { closeSync, openSync } from 'node:fs'
import { spawnDetached } from '../host/spawn-detached.ts'
import type { RootPaths } from '../state/paths.ts'
import { monitorLog } from './monitor-control.ts'

/** Starts a monitor for a root: in its own session, outside the caller's cgroup, with nothing of the caller's open. */
export async function spawnMonitor(paths: RootPaths, command: readonly string[]): Promise<void> {
  const log = openSync(monitorLog(paths), 'w', 0o600)
  try {
    await spawnDetached({
      file: command[0]!,
      args: command.slice(1),
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', TSCONTAINER_ATTEMPT: '0' },
      stdio: ['ignore', log, log],
    })
  } finally {
    closeSync(log)
  }
}
