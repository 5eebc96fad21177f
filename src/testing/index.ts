/**
 * For authors of drivers and for tests of engines: conformance suites, fault plans, a faulty registry, leak checks.
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
export { FaultyRegistry, type FaultyRegistryOptions, type SeenRequest } from './registry/faulty-registry.ts'
export { describeBytes, type MemoryImage, type MemoryImageOptions, makeImage } from './registry/memory-image.ts'
export type { MemoryRepository } from './registry/memory-repository.ts'
export type { RegistryAuth, RegistryAuthOptions } from './registry/registry-auth.ts'
export type { RegistryFault, RegistryFaultKind, RegistryRequestKind } from './registry/registry-fault.ts'
export { storageDriverSuite } from './storage-suite/suite.ts'
export type { StorageSuiteOptions, SuiteContext, SuiteRunner, SuiteVariant } from './storage-suite/suite-options.ts'
