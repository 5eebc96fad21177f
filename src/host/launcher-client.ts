import type { HostOptions } from './host.ts'
import type { Launcher } from './launcher.ts'

/** The launcher of this process; its thread starts with the first call. */
export function createLauncher(_options: HostOptions): Launcher {
  throw new Error('being written')
}
