import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { ContainerId } from '../driver-kit/ids.ts'
import type { LogDriver } from '../driver-kit/log-driver.ts'
import type { RuntimeDriver } from '../driver-kit/runtime-driver.ts'
import type { CgroupMode } from '../host/kernel.ts'
import type { MountLease } from '../host/launcher.ts'
import type { MountSpec } from '../host/mount-spec.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { WorkQueue } from '../lifetime/queue.ts'
import type { Turns } from '../lifetime/turns.ts'
import type { Digest } from '../oci/digest.ts'
import type { ImageConfig } from '../oci/image-config.ts'
import type { SeccompPart } from '../runtime/build-spec.ts'
import type { NetworkFiles } from '../runtime/container-mounts.ts'
import type { HostLimits } from '../runtime/host-limits.ts'
import type { ResourceSupport } from '../runtime/resources.ts'
import type { Database } from '../state/database.ts'
import type { EventJournal } from '../state/event-journal.ts'
import type { RootPaths } from '../state/paths.ts'
import type { ContainerRecords } from './container-records.ts'

/** An image as far as a container needs it. */
export interface ContainerImage {
  readonly id: Digest
  readonly manifest: Digest
  readonly config: ImageConfig
  /** Null for an image without layers. */
  readonly chain: Digest | null
}

/** Writable roots of containers. */
export interface ContainerRoots {
  /** `quotaBytes` limits what it may hold beyond its image. */
  create(
    id: ContainerId,
    chain: Digest | null,
    options: CallOptions & { readonly durable: boolean; readonly quotaBytes?: number | undefined },
  ): Promise<readonly MountSpec[]>
  mounts(id: ContainerId, call?: CallOptions): Promise<readonly MountSpec[]>
  remove(id: ContainerId, durable: boolean, call?: CallOptions): Promise<void>
}

/** A container's place on a network. */
export interface ContainerEndpoint {
  readonly networkName: string
  readonly networkId: string
  readonly endpointId: string
  readonly interfaceName: string
  readonly mac: string
  /** With prefix length. */
  readonly addresses: readonly string[]
  readonly gateways: readonly string[]
}

/** A container's place in its networks while it runs. */
export interface ContainerNetworking {
  /** Path of its network namespace, or `host` for this machine's own. */
  readonly namespace: string
  readonly endpoints: readonly ContainerEndpoint[]
  /** Which files of the container's directory it sees in /etc; null for the image's own. */
  files(directory: string): NetworkFiles
  /** Lets go of the namespace; the kernel removes it with its links when no process is left in it. */
  release(): Promise<void>
}

export interface ContainerNetworks {
  /** Claims addresses, makes the namespace, and writes hosts, hostname and resolv.conf into `directory`. */
  attach(
    container: { id: ContainerId; name: string; hostname: string; durable: boolean; directory: string },
    wanted: readonly string[] | 'none' | 'host',
    call?: CallOptions,
  ): Promise<ContainerNetworking>
  /** Gives the claims back; idempotent. */
  detach(id: ContainerId, durable: boolean): Promise<void>
  endpoints(id: ContainerId): readonly ContainerEndpoint[]
  /** Looks after the networks of a running container that another process attached; `detach` ends it. */
  adopt(id: ContainerId): Promise<void>
  /** Claims again what the copy in a running container's directory says; for records that were lost. */
  restore(id: ContainerId, directory: string): void
}

/** Asks the monitor, which holds detached containers, and starts it when it does not run. */
export interface DetachedHolder {
  start(id: ContainerId, call?: CallOptions): Promise<void>
  /** Resolves when a monitor lives, which will see the ends of detached containers. */
  ensure(call?: CallOptions): Promise<void>
}

/** Narrow views of everything that verbs on containers use; `src/engine/wiring.ts` fills them in. */
export interface ContainerServices {
  readonly owner: { readonly id: string; readonly role: 'engine' | 'monitor' }
  readonly rootId: string
  readonly paths: RootPaths
  readonly db: Database
  readonly records: ContainerRecords
  readonly journal: EventJournal
  readonly diagnostics: DiagnosticsSink
  readonly runtime: RuntimeDriver
  readonly roots: ContainerRoots
  readonly networks: ContainerNetworks
  /** The filter of system calls for a container with these capabilities. */
  seccomp(capabilities: readonly string[]): Promise<SeccompPart>
  /** What this process has, and so can give. */
  readonly capabilities: readonly string[]
  readonly cgroupMode: CgroupMode
  readonly resourceSupport: ResourceSupport
  readonly hostLimits: HostLimits
  /** Cgroup path for a container, as the runtime takes it. */
  cgroupPath(id: ContainerId, lifetime: 'process' | 'detached'): string
  /** Ready when the guard watches over this process; for `process` containers only. */
  guard(): Promise<void>
  /** Taken before each longer piece of work on the event loop. */
  readonly turns: Turns
  /** Calls of the runtime that start a container: more at once than the processors can serve make all of them late. */
  readonly starts: WorkQueue
  /** While it is held, the runtime's moves of processes into cgroups do not wait. */
  quickMoves(): Disposable
  resolveImage(reference: string, call?: CallOptions): Promise<ContainerImage>
  /** A container of the image is gone. */
  imageReleased(image: Digest): Promise<void>
  readonly defaultLog: { readonly driver: string; readonly options: Readonly<Record<string, string>> }
  logDriver(name: string): Promise<LogDriver>
  /** Mounts a tree for reading or preparing it; not for running from it. */
  mount(target: string, mounts: readonly MountSpec[], call?: CallOptions): Promise<MountLease>
  readonly detached: DetachedHolder
  /** The program that holds detached containers, and its arguments; it leaves at once where one lives. */
  readonly monitorCommand: readonly string[]
}
