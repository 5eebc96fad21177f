import type { AnyDriverDefinition } from '../driver-kit/definition.ts'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { DriverHost } from '../driver-kit/driver-host.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { fromNodeError } from '../errors/host-errors.ts'
import { storageErrors } from '../errors/storage-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { Database } from '../state/database.ts'
import type { RootPaths } from '../state/paths.ts'
import { type ChosenDriver, chooseStorageDriver } from './choose-driver.ts'
import { LocalSnapshots } from './local-snapshots.ts'
import { SnapshotRecords } from './snapshot-records.ts'
import type { SnapshotService } from './snapshot-service.ts'
import { StorageGuard } from './storage-guard.ts'

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

/**
 * Chooses and opens the storage driver of a data root.
 *
 * @throws `storage.unknown_driver`, `storage.removed_driver`, `storage.unusable_driver`, `storage.none_usable`,
 * `storage.ambiguous_driver`, `storage.other_driver`, `call.unknown_option`, `call.bad_option`
 */
export async function openStorage(options: OpenStorageOptions): Promise<SnapshotService> {
  const { host, paths, db, definitions, choice, diagnostics, owner, signal } = options
  throwIfAborted(options, 'Opening storage')
  const chosen = await chooseStorageDriver({
    host,
    paths,
    definitions,
    driver: choice?.driver,
    driverOptions: choice?.options,
    holdsTrees: (driver) => new SnapshotRecords(db, driver).holdsTrees(),
    diagnostics,
    signal,
  })
  const driver = new StorageGuard(await openDriver(chosen, signal))
  try {
    return new LocalSnapshots({ driver, facts: chosen.facts, db, paths, owner, diagnostics })
  } catch (error) {
    await driver[Symbol.asyncDispose]()
    throw error
  }
}

async function openDriver({ definition, context, options }: ChosenDriver, signal: AbortSignal | undefined) {
  try {
    return await definition.open(context, options, { signal })
  } catch (error) {
    const typed = fromNodeError(error, `Opening storage driver ${definition.name}`)
    if (isEngineError(typed)) throw typed
    throw storageErrors.error('driver_failed', {
      message: `Storage driver ${definition.name} could not be opened: ${String(error)}. Report it to its author.`,
      subject: { type: 'storage driver', id: definition.name },
      cause: error,
    })
  }
}
