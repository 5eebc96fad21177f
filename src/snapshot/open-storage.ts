import type { AnyDriverDefinition } from '../driver-kit/definition.ts'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { DriverHost } from '../driver-kit/driver-host.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Database } from '../state/database.ts'
import type { RootPaths } from '../state/paths.ts'
import type { SnapshotService } from './snapshot-service.ts'

/** Which storage driver to use. Without a name it is chosen: what the root was used with before, else the first usable. */
export interface StorageChoice {
  readonly driver?: string | undefined
  readonly options?: unknown
}

export interface OpenStorageOptions extends CallOptions {
  readonly host: DriverHost
  readonly paths: RootPaths
  readonly db: Database
  /** In order of preference; other types of drivers are passed over. */
  readonly definitions: readonly AnyDriverDefinition[]
  readonly choice?: StorageChoice | undefined
  readonly diagnostics: DiagnosticsSink
  /** Owner id of this process (src/state/owners.ts). */
  readonly owner: string
}

/** Chooses and opens the storage driver of a data root. */
export async function openStorage(_options: OpenStorageOptions): Promise<SnapshotService> {
  throw new Error('being written')
}
