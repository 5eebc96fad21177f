import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { DriverContext } from '../driver-kit/context.ts'
import type { DriverType } from '../driver-kit/definition.ts'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { DriverHost } from '../driver-kit/driver-host.ts'
import type { RootPaths } from '../state/paths.ts'

/** Makes a driver's own directories and hands it the machine. */
export function driverContext(
  paths: RootPaths,
  type: DriverType,
  name: string,
  parts: {
    readonly host: DriverHost
    readonly diagnostics: DiagnosticsSink
    readonly launchEnv: Readonly<Record<string, string>>
  },
): DriverContext {
  const directory = paths.driver(type, name)
  const runDirectory = join(paths.run, 'drivers', type, name)
  for (const made of [directory, runDirectory]) mkdirSync(made, { recursive: true, mode: 0o700 })
  return { directory, runDirectory, ...parts }
}
