import type { ContainerId } from '../driver-kit/ids.ts'
import type { Digest } from '../oci/digest.ts'
import type { StoredDevice } from '../runtime/devices.ts'
import type { StoredSecurity } from '../runtime/security.ts'
import type { ContainerRecord, ContainerStatus, ExitStatus, Lifetime } from './container-record.ts'
import type { ContainerEndpoint, ContainerServices } from './services.ts'
import type { StoredMount, StoredSpec } from './stored-spec.ts'

/** Everything known about a container at one moment. */
export interface ContainerInspect {
  readonly id: ContainerId
  readonly name: string
  readonly lifetime: Lifetime
  readonly status: ContainerStatus
  readonly running: boolean
  /** Of the first process on this host; null when it does not run. */
  readonly pid: number | null
  /** Of the last run; null before the first end. */
  readonly exit: ExitStatus | null
  /** Why the last start failed. */
  readonly error: string | null
  readonly restartCount: number
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly image: { readonly id: Digest; readonly manifest: Digest; readonly name: string }
  readonly argv: readonly string[]
  readonly env: readonly string[]
  readonly user: string
  /** Further groups of the first process. */
  readonly groups: readonly string[]
  readonly workdir: string
  readonly hostname: string
  readonly domainname: string | null
  readonly labels: Readonly<Record<string, string>>
  readonly mounts: readonly StoredMount[]
  readonly readOnly: boolean
  readonly stdin: boolean
  readonly autoRemove: boolean
  readonly resources: StoredSpec['resources']
  readonly ulimits: StoredSpec['ulimits']
  /** Null: Docker's defaults. */
  readonly security: StoredSecurity | null
  readonly devices: readonly StoredDevice[]
  readonly deviceRules: readonly string[]
  readonly sysctls: Readonly<Record<string, string>>
  /** Null: as for every other container. */
  readonly oomScoreAdj: number | null
  readonly stopSignal: number
  readonly stopTimeoutMs: number
  readonly exposedPorts: readonly string[]
  readonly log: StoredSpec['log']
  readonly networks: readonly ContainerEndpoint[]
  /** Host paths: the directory with bundle, log and hosts files; the merged root while it runs. */
  readonly paths: { readonly directory: string; readonly mergedRoot: string | null }
}

export function inspectContainer(services: ContainerServices, record: ContainerRecord): ContainerInspect {
  const { spec } = record
  const running = record.status === 'running' || record.status === 'paused'
  return {
    id: record.id,
    name: record.name,
    lifetime: record.lifetime,
    status: record.status,
    running,
    pid: running ? record.pid : null,
    exit: record.exit,
    error: record.error,
    restartCount: record.restartCount,
    createdAt: record.createdAt,
    startedAt: record.startedAt,
    image: { id: spec.image.id, manifest: spec.image.manifest, name: spec.image.name },
    argv: spec.argv,
    env: spec.env,
    user: spec.user,
    groups: spec.groups ?? [],
    workdir: spec.workdir,
    hostname: spec.hostname,
    domainname: spec.domainname ?? null,
    labels: spec.labels,
    mounts: spec.mounts,
    readOnly: spec.readOnlyRoot,
    stdin: spec.stdin,
    autoRemove: spec.autoRemove,
    resources: spec.resources,
    ulimits: spec.ulimits,
    security: spec.security ?? null,
    devices: spec.devices ?? [],
    deviceRules: spec.deviceRules ?? [],
    sysctls: spec.sysctls ?? {},
    oomScoreAdj: spec.oomScoreAdj ?? null,
    stopSignal: spec.stopSignal,
    stopTimeoutMs: spec.stopTimeoutMs,
    exposedPorts: spec.exposedPorts,
    log: spec.log,
    networks: services.networks.endpoints(record.id),
    paths: {
      directory: services.paths.container(record.id),
      // The root is mounted in the launcher's namespace only; the kernel shows it below the process that runs in it.
      mergedRoot: running && record.pid !== null ? `/proc/${record.pid}/root` : null,
    },
  }
}
