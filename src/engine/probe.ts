import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { builtinDrivers } from '../builtins.ts'
import type { DriverType, MissingRequirement, Probe } from '../driver-kit/definition.ts'
import { createHost } from '../host/host.ts'
import type { KernelFeatures } from '../host/kernel.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { createDiagnostics } from './diagnostics.ts'
import { DriverRegistry } from './driver-registry.ts'
import type { ParsedEngineOptions } from './engine-options.ts'
import { hostLimitChecks, type LimitCheck } from './host-limit-checks.ts'

/** What one driver found out about this machine. */
export interface DriverProbe {
  readonly type: DriverType
  readonly name: string
  readonly result: Probe
}

/** What this machine has and lacks. */
export interface ProbeReport {
  /** Whether containers can run: there is a usable storage driver, runtime, log driver, and enough privilege. */
  readonly usable: boolean
  readonly kernel: KernelFeatures
  readonly drivers: readonly DriverProbe[]
  /** Requirements without which nothing runs; empty when `usable`. */
  readonly missing: readonly MissingRequirement[]
  /** Kernel limits that many containers run into. */
  readonly limits: readonly LimitCheck[]
}

const essential: readonly DriverType[] = ['storage', 'runtime', 'log']

/** Asks every driver; in a directory of its own that is gone afterwards. */
export async function probeMachine(options: ParsedEngineOptions, call?: CallOptions): Promise<ProbeReport> {
  const diagnostics = createDiagnostics(options.diagnostics ?? (() => {}))
  await using host = createHost({ diagnostics })
  const kernel = host.features()
  const registry = new DriverRegistry([...builtinDrivers, ...(options.drivers ?? [])])
  const drivers: DriverProbe[] = []
  const directory = mkdtempSync(join(tmpdir(), 'tscontainer-probe-'))
  try {
    for (const type of ['storage', 'runtime', 'network', 'log', 'volume'] as const)
      for (const definition of registry.all(type)) {
        const own = join(directory, type, definition.name)
        const runDirectory = join(own, 'run')
        mkdirSync(runDirectory, { recursive: true, mode: 0o700 })
        const input = type === 'storage' && definition.name === options.storage?.driver ? options.storage.options : {}
        const context = { directory: own, runDirectory, host, diagnostics }
        drivers.push({
          type,
          name: definition.name,
          result: await definition.probe(context, definition.parseOptions(input), call),
        })
      }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  const missing = [
    ...(kernel.capabilities.includes('CAP_SYS_ADMIN')
      ? []
      : [{ what: 'capability CAP_SYS_ADMIN', hint: 'run as root' }]),
    ...essential.flatMap((type) => {
      const probes = drivers.filter((driver) => driver.type === type)
      if (probes.some(({ result }) => result.usable)) return []
      return probes.flatMap(({ result }) => (result.usable ? [] : result.missing))
    }),
  ]
  return { usable: missing.length === 0, kernel, drivers, missing, limits: hostLimitChecks() }
}
