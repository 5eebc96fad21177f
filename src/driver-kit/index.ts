/**
 * The contracts for authors of drivers.
 *
 * @module
 */

export { abortError, callErrors } from '../errors/call-errors.ts'
export { EngineError, type EngineErrorInit, type ErrorSubject, isEngineError } from '../errors/engine-error.ts'
export { defineErrors, type ErrorDefinition, type ErrorFamily } from '../errors/family.ts'
export { errnoOf, fromNodeError } from '../errors/host-errors.ts'
export type { ErrorKind } from '../errors/kinds.ts'
export { runtimeErrors } from '../errors/runtime-errors.ts'
export { storageErrors } from '../errors/storage-errors.ts'
export type { Cgroups } from '../host/cgroup/cgroups.ts'
export type { OomWatch } from '../host/cgroup/oom-watch.ts'
export type { ResourceUsage } from '../host/cgroup/usage.ts'
export type { CommandOptions, CommandResult } from '../host/command.ts'
export type { FileLock } from '../host/file-lock.ts'
export type { BridgeRules, Firewall, FirewallReport, ForwardingReport } from '../host/firewall.ts'
export type { IdMap, IdRange } from '../host/id-map.ts'
export type { CgroupMode, KernelFeatures } from '../host/kernel.ts'
export type {
  LaunchedProcess,
  Launcher,
  LaunchRequest,
  MountLease,
  Netns,
  ProcessExit,
  RootMount,
} from '../host/launcher.ts'
export type { BridgePlan, LinkAddress, LinkInfo, Links, RouteInfo } from '../host/links.ts'
export type { MountSpec } from '../host/mount-spec.ts'
export type { MountTable } from '../host/mount-table.ts'
export type { NetnsPlan, VethPlan } from '../host/netns-plan.ts'
export type { ProcessControl } from '../host/process-control.ts'
export type { ProcessIdentity } from '../host/process-identity.ts'
export type { ProjectQuotaState, ProjectQuotas, ProjectUsage } from '../host/project-quotas.ts'
export type { Xattrs } from '../host/xattr.ts'
export { type CallOptions, raceAbort, throwIfAborted } from '../lifetime/call-options.ts'
export { KeyedLock } from '../lifetime/keyed-lock.ts'
export { Scope, withRollback } from '../lifetime/scope.ts'
export type * from '../oci/runtime-spec.ts'
export { stringifyRuntimeJson, unlimitedRlimit } from '../oci/runtime-spec.ts'
export type * from './context.ts'
export type * from './definition.ts'
export type * from './diagnostics.ts'
export { type DriverHost, driverKitVersion } from './driver-host.ts'
export type * from './ids.ts'
export type * from './log-driver.ts'
export type * from './network-driver.ts'
export { type OptionShape, parseOptionObject } from './options.ts'
export type * from './runtime-driver.ts'
export type * from './storage-driver.ts'
export { type TreeProject, TreeProjects } from './tree-projects.ts'
export { copyDirectoryFacts, isNearlyFull, TreeStorage, type TreeWish } from './tree-storage.ts'
export { type StoredTree, type TreeFacts, TreeStore, type TreeStoreOptions } from './tree-store.ts'
export { treeUsage } from './tree-usage.ts'
export type * from './volume-driver.ts'
