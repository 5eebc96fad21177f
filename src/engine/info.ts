import { cpus, hostname, totalmem } from 'node:os'
import type { ContainerStatus } from '../container/container-record.ts'
import { driverKitVersion } from '../driver-kit/driver-host.ts'
import type { StorageHealth } from '../driver-kit/storage-driver.ts'
import type { KernelFeatures } from '../host/kernel.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { formatPlatform, hostPlatform } from '../oci/platform.ts'
import type { RegistryLogin } from '../registry/list-logins.ts'
import { coreTokens } from './core-tokens.ts'
import type { Parts } from './parts.ts'

/** The engine at a glance. */
export interface EngineInfo {
  readonly root: string
  /** 12 hex digits that tell the roots of one host apart. */
  readonly rootId: string
  readonly driverKit: string
  readonly containers: { readonly total: number } & Readonly<Record<ContainerStatus, number>>
  readonly images: number
  readonly storage: {
    readonly driver: string
    readonly facts: Readonly<Record<string, string>>
    readonly health: StorageHealth
  }
  readonly runtime: { readonly driver: string; readonly facts: Readonly<Record<string, string>> }
  /** Registered drivers by type. */
  readonly drivers: Readonly<Record<'storage' | 'log' | 'runtime' | 'network', readonly string[]>>
  readonly kernel: KernelFeatures
  readonly host: {
    readonly name: string
    readonly platform: string
    readonly cpus: number
    readonly memoryBytes: number
  }
  /**
   * Logins at registries that the engine's options, DOCKER_AUTH_CONFIG and Docker's config.json tell of: names, no secrets.
   * What credential helpers keep is told by their names only; they are not started.
   */
  readonly registries: readonly RegistryLogin[]
  /** Processes that have the root open now. */
  readonly owners: readonly { readonly role: string; readonly pid: number }[]
}

export async function readEngineInfo(parts: Parts, call?: CallOptions): Promise<EngineInfo> {
  const t = coreTokens
  const [storage, runtime, containers] = await Promise.all([
    parts.get(t.storage),
    parts.get(t.runtime),
    parts.get(t.containers),
  ])
  const state = parts.get(t.state)
  const drivers = parts.get(t.drivers)
  const counts: Record<ContainerStatus, number> = {
    creating: 0,
    created: 0,
    starting: 0,
    running: 0,
    paused: 0,
    exited: 0,
    removing: 0,
  }
  const records = containers.services.records.all()
  for (const record of records) counts[record.status]++
  const names = (type: 'storage' | 'log' | 'runtime' | 'network') => drivers.all(type).map(({ name }) => name)
  return {
    root: state.paths.root,
    rootId: state.rootId,
    driverKit: driverKitVersion,
    containers: { total: records.length, ...counts },
    images: parts.get(t.images).listed().length,
    storage: { driver: storage.driver, facts: storage.facts, health: await storage.health(call) },
    runtime: { driver: runtime.name, facts: runtime.facts },
    drivers: { storage: names('storage'), log: names('log'), runtime: names('runtime'), network: names('network') },
    kernel: parts.get(t.host).features(),
    host: {
      name: hostname(),
      platform: formatPlatform(hostPlatform()),
      cpus: cpus().length,
      memoryBytes: totalmem(),
    },
    registries: await readLogins(parts),
    owners: parts
      .get(t.owners)
      .living()
      .map(({ role, pid }) => ({ role, pid })),
  }
}

/** A file that others have spoilt is no reason to tell nothing else. */
async function readLogins(parts: Parts): Promise<readonly RegistryLogin[]> {
  try {
    return await parts.get(coreTokens.logins)()
  } catch (error) {
    const message = 'The logins at registries could not be read.'
    parts.get(coreTokens.diagnostics)({ level: 'warning', source: 'registries', message, error })
    return []
  }
}
