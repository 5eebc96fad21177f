import type { MonitorArguments } from '../engine/monitor-command.ts'
import { runMonitor } from './monitor.ts'

/**
 * The program of the monitor process. Its one argument is `MonitorArguments` as JSON; what it has to say goes to standard
 * error, which is run/monitor.log.
 */
const args = JSON.parse(process.argv[2] ?? '') as MonitorArguments
const attempt = Number(process.env['TSCONTAINER_ATTEMPT'] ?? 0)
process.title = 'tscontainer-monitor'
// The signals that end a terminal's or a service's processes are not for the containers of others.
for (const signal of ['SIGHUP', 'SIGINT', 'SIGPIPE'] as const) process.on(signal, () => {})

try {
  await runMonitor(args, attempt)
} catch (error) {
  console.error(error)
  process.exitCode = 1
}
