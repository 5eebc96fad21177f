import type { CallOptions } from '../lifetime/call-options.ts'
import type { DriverContext } from './context.ts'
import type { LogDriver } from './log-driver.ts'
import type { NetworkDriver } from './network-driver.ts'
import type { RuntimeDriver } from './runtime-driver.ts'
import type { StorageDriver } from './storage-driver.ts'
import type { VolumeDriver } from './volume-driver.ts'

/** Something a driver needs and the machine lacks. */
export interface MissingRequirement {
  /** What is missing: `program crun`, `kernel overlay`, `capability CAP_SYS_ADMIN`. */
  readonly what: string
  /** What to do: the Debian package to install, the setting to change. */
  readonly hint: string
}

/** What a driver found out about this machine. */
export type Probe =
  | { readonly usable: true; readonly facts: Readonly<Record<string, string>>; readonly warnings?: readonly string[] }
  | { readonly usable: false; readonly missing: readonly MissingRequirement[] }

/** What each type of definition opens. */
export interface DriverTypes {
  storage: StorageDriver
  log: LogDriver
  runtime: RuntimeDriver
  network: NetworkDriver
  volume: VolumeDriver
}

/** What a driver is for. */
export type DriverType = keyof DriverTypes

/**
 * What a driver package exports. `kit` is the semver range of `driverKitVersion` it was written for; a definition whose
 * range does not fit is refused by name at `Engine.open`.
 */
export interface DriverDefinition<Type extends DriverType = DriverType, Options = unknown> {
  readonly type: Type
  /** What users select it by: lower case, digits and dashes. */
  readonly name: string
  readonly kit: string
  /** URL of the module that exports this definition (`import.meta.url`): lets detached containers use the driver, in the
   * process that holds them. */
  readonly module?: string | undefined
  /** Pure. Throws `invalid_argument` that names the bad key and lists the allowed ones. */
  parseOptions(input: unknown): Options
  /** Looks, changes nothing. */
  probe(context: DriverContext, options: Options, call?: CallOptions): Promise<Probe>
  /** Repairs what a crash left, then gives back a driver that is ready. */
  open(context: DriverContext, options: Options, call?: CallOptions): Promise<DriverTypes[Type]>
}

/** Any definition, whatever its options: what lists of drivers hold. */
// biome-ignore lint/suspicious/noExplicitAny: a list of definitions with different option types has no other common type
export type AnyDriverDefinition = { [Type in DriverType]: DriverDefinition<Type, any> }[DriverType]
