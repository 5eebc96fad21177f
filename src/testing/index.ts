/**
 * For authors of drivers and for tests of engines: conformance suites, fault plans, leak checks.
 *
 * @module
 */
export { type FaultKind, FaultPlan, InjectedFault } from './fault-plan.ts'
export {
  type HostTable,
  type HostTableOptions,
  type HostTables,
  newSince,
  readHostTables,
  settledLeaks,
} from './leak-check.ts'
export { storageDriverSuite } from './storage-suite/suite.ts'
export type { StorageSuiteOptions, SuiteContext, SuiteRunner, SuiteVariant } from './storage-suite/suite-options.ts'
