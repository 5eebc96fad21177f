import type { ContainerCore } from '../container/container-core.ts'
import type { ContainerServices } from '../container/services.ts'
import type { ContentStore } from '../content/content-store.ts'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { RuntimeDriver } from '../driver-kit/runtime-driver.ts'
import type { Host } from '../host/host.ts'
import type { ImageStore } from '../image/image-store.ts'
import type { NetworkService } from '../network/network-service.ts'
import type { RegistryLogin } from '../registry/list-logins.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { SnapshotService } from '../snapshot/snapshot-service.ts'
import type { EventJournal } from '../state/event-journal.ts'
import type { State } from '../state/open-state.ts'
import type { Owner, Owners } from '../state/owners.ts'
import type { TransferServices } from '../transfer/transfer-services.ts'
import type { TreeServices } from '../transfer/tree-services.ts'
import type { DriverRegistry } from './driver-registry.ts'
import type { MonitorControl } from './monitor-control.ts'
import type { OpenedDrivers } from './opened-drivers.ts'
import { createToken } from './parts.ts'

/**
 * The parts of an engine. `Engine.open({ parts: [definePart(coreTokens.host, ...)] })` replaces one, for tests; parts
 * that are opened asynchronously are promises.
 */
export const coreTokens = {
  diagnostics: createToken<DiagnosticsSink>('diagnostics'),
  host: createToken<Host>('host'),
  state: createToken<State>('state'),
  owners: createToken<Owners>('owners'),
  owner: createToken<Owner>('owner'),
  journal: createToken<EventJournal>('journal'),
  drivers: createToken<DriverRegistry>('drivers'),
  content: createToken<ContentStore>('content'),
  images: createToken<ImageStore>('images'),
  storage: createToken<Promise<SnapshotService>>('storage'),
  runtime: createToken<Promise<RuntimeDriver>>('runtime'),
  logs: createToken<OpenedDrivers<'log'>>('logs'),
  networks: createToken<NetworkService>('networks'),
  monitor: createToken<MonitorControl>('monitor'),
  registries: createToken<Promise<RegistryClient>>('registries'),
  /** Read at every question. */
  logins: createToken<() => Promise<readonly RegistryLogin[]>>('logins'),
  transfer: createToken<Promise<TransferServices>>('transfer'),
  trees: createToken<Promise<TreeServices>>('trees'),
  containerServices: createToken<Promise<ContainerServices>>('container-services'),
  containers: createToken<Promise<ContainerCore>>('containers'),
} as const
