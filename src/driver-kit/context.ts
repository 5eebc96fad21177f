import type { DiagnosticsSink } from './diagnostics.ts'
import type { DriverHost } from './driver-host.ts'

/** What the engine hands to a driver. */
export interface DriverContext {
  /** A directory of the driver's own under the data root; survives reboots. Exists, mode 0700. */
  readonly directory: string
  /** A directory of the driver's own for what a reboot may lose. */
  readonly runDirectory: string
  readonly host: DriverHost
  /** Variables for programs that may not outlive this process (lifetime `process`): how the guard knows them. */
  readonly launchEnv?: Readonly<Record<string, string>>
  readonly diagnostics: DiagnosticsSink
}
