import type { DriverContext } from '../../driver-kit/context.ts'
import type { DriverDefinition } from '../../driver-kit/definition.ts'
import type { StorageCapabilities, StorageDriver } from '../../driver-kit/storage-driver.ts'

/** The two functions that every test runner has; `node:test`, vitest and jest fit. */
export interface SuiteRunner {
  /** Groups the tests that `body` declares. */
  describe(name: string, body: () => void): unknown
  /** Declares a test; it fails when `body` rejects. */
  test(name: string, body: () => Promise<void>): unknown
}

/** One set of options that the whole suite runs with. */
export interface SuiteVariant {
  readonly name: string
  /** Given to the definition's `parseOptions`. */
  readonly options: unknown
}

/** A fresh place for one check. */
export interface SuiteContext {
  readonly context: DriverContext
  /** Takes everything back; called once the check is over and the driver disposed of. */
  release(): Promise<void>
}

/** What to test, and how. */
export interface StorageSuiteOptions<Options> {
  readonly definition: DriverDefinition<'storage', Options>
  /** Default: one, without options. */
  readonly variants?: readonly SuiteVariant[] | undefined
  readonly runner: SuiteRunner
  /** Where drivers keep their things in the default context. Default: the system's directory for temporary files. */
  readonly below?: string | undefined
  /** Default: empty directories below `below`, and this machine as the host. */
  readonly createContext?: (() => Promise<SuiteContext>) | undefined
  /** Checks that this driver cannot pass, by their names, each with a reason. Unknown names fail the suite. */
  readonly skip?: readonly { readonly test: string; readonly reason: string }[] | undefined
  /** Capabilities that the driver must declare. */
  readonly require?: readonly Exclude<keyof StorageCapabilities, 'maxDepth'>[] | undefined
  /** Stands around each opened driver: runs the suite on a decorator. */
  readonly wrap?: ((driver: StorageDriver) => StorageDriver) | undefined
  /** How many layers the depth check stacks at most. Default 64. */
  readonly depth?: number | undefined
  /** Seed of the model test; a failure names it. Default: fixed. */
  readonly seed?: number | undefined
}
