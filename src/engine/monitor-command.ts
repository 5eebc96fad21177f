import { fileURLToPath } from 'node:url'
import { distFolder, runsFromSource, workerExecArgv } from '../host/worker-entry.ts'

/** What a monitor is started with. */
export interface MonitorArguments {
  readonly root: string
  readonly runtime: string | null
  /** URLs of modules that export driver definitions. */
  readonly driverModules: readonly string[]
}

/** The command line of a monitor. A small heap: it holds pipes, not data. */
export function monitorCommand(options: MonitorArguments): readonly string[] {
  const entry = runsFromSource
    ? new URL('../monitor/monitor-main.ts', import.meta.url)
    : new URL('monitor/monitor-main.js', distFolder())
  return [
    process.execPath,
    '--max-semi-space-size=1',
    '--max-old-space-size=256',
    ...workerExecArgv(),
    fileURLToPath(entry),
    JSON.stringify(options),
  ]
}
