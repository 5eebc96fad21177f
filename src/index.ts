/**
 * A container engine in your process: images, containers and networks without a daemon.
 *
 * @module
 */
export type { AttachContainerOptions, AttachedStreams } from './container/attach-container.ts'
export type { ContainerLogQuery } from './container/container-log.ts'
export type { ContainerStatus, ExitStatus, Lifetime } from './container/container-record.ts'
export type { ContainerSpec, MountEntry } from './container/container-spec.ts'
export type { ContainerRates, ContainerStats } from './container/container-stats.ts'
export type { Duration } from './container/duration.ts'
export type { ExecProcess, SpawnOptions } from './container/exec-container.ts'
export type { ContainerInspect } from './container/inspect-container.ts'
export type { ContainerFilter } from './container/list-filter.ts'
export type { ContainerEndpoint } from './container/services.ts'
export type { StoredMount, StoredSpec } from './container/stored-spec.ts'
export type { WaitCondition } from './container/wait-container.ts'
export type * from './driver-kit/definition.ts'
export type { Diagnostic, DiagnosticsSink } from './driver-kit/diagnostics.ts'
export type { ContainerId } from './driver-kit/ids.ts'
export type { LogEntry, LogQuery, LogStream, PartialMark } from './driver-kit/log-driver.ts'
export type { CheckOptions, ConsistencyProblem, ConsistencyReport } from './engine/check-engine.ts'
export type { EngineGarbageReport } from './engine/collect-engine-garbage.ts'
export { Container, type RemoveOptions, type StatsOptions, type StopOptions } from './engine/container.ts'
export { Containers, type RunOptions } from './engine/containers.ts'
export { coreTokens } from './engine/core-tokens.ts'
export type { ContainerUsage, DiskUsage, DiskUsageOptions, ImageUsage } from './engine/disk-usage.ts'
export { Engine } from './engine/engine.ts'
export { defaultRoot, type EngineOptions } from './engine/engine-options.ts'
export type { ExecOptions, ExecResult } from './engine/exec-collected.ts'
export { Image } from './engine/image.ts'
export type { ImageHistoryEntry } from './engine/image-history.ts'
export type { ImageInspect } from './engine/image-inspect.ts'
export { type ByteSource, Images, type IndexedImage } from './engine/images.ts'
export type { EngineInfo } from './engine/info.ts'
export { Network, Networks } from './engine/networks.ts'
export { definePart, type PartFactory, type Parts, type Token } from './engine/parts.ts'
export type { DriverProbe, ProbeReport } from './engine/probe.ts'
export type { PruneOptions, PruneReport } from './engine/prune-engine.ts'
export { Registries } from './engine/registries.ts'
export type {
  ContainerPruneFilter,
  ContainersPruneReport,
  ImagePruneFilter,
  ImagesPruneReport,
  RemoveImageOptions,
  RemoveImageReport,
} from './engine/removal-reports.ts'
export { EngineError, type ErrorSubject, isEngineError } from './errors/engine-error.ts'
export { type ErrorKind, errorKinds } from './errors/kinds.ts'
export type { ImageFilter, LabelFilter } from './image/image-filter.ts'
export type { ImageLockMode, ImageLockOptions } from './image/image-lock-modes.ts'
export type { ImageLifetime } from './image/image-owners.ts'
export type { TreeChange } from './layer/change-list.ts'
export type { CallOptions } from './lifetime/call-options.ts'
export type { NetworkInspect } from './network/network-facts.ts'
export type { Digest } from './oci/digest.ts'
export type { ImageFormat, LayerCompression } from './oci/layer-types.ts'
export type { Operation } from './progress/operation.ts'
export type { ProgressEvent } from './progress/progress-event.ts'
export type { ShortNames } from './reference/short-names.ts'
export type { LoginStore } from './registry/docker-config-store.ts'
export type { RegistryLogin } from './registry/list-logins.ts'
export type {
  CredentialProvider,
  RegistriesOptions,
  RegistryCredentials,
  RegistryHostOptions,
} from './registry/registry-options.ts'
export type { FoundRepository, ImageSearchOptions } from './registry/search.ts'
export type { DeviceEntry, StoredDevice } from './runtime/devices.ts'
export type { Resources } from './runtime/resources.ts'
export type { Security, StoredSecurity } from './runtime/security.ts'
export type { Ulimit, UlimitName, Ulimits } from './runtime/ulimits.ts'
export type { EngineEvent, EventQuery, EventType } from './state/event-journal.ts'
export type { CommitOptions, NewImageOptions, SquashOptions } from './transfer/commit-options.ts'
export type { ImportOptions } from './transfer/import-rootfs.ts'
export type { LoadOptions } from './transfer/load-images.ts'
export type { PullOptions } from './transfer/pull-image.ts'
export type { PushOptions, PushResult } from './transfer/push-image.ts'
export type { PushIndexOptions } from './transfer/push-index.ts'
export type { SentCompression } from './transfer/repack-image.ts'
export type { SaveOptions } from './transfer/save-images.ts'
export type { PullPolicy } from './transfer/transfer-options.ts'
