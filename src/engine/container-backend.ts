import type { ContainerCore } from '../container/container-core.ts'
import type { MonitorControl } from './monitor-control.ts'
import type { Parts } from './parts.ts'

/** What handles on containers reach of their engine. */
export interface ContainerBackend {
  /** @throws `call.disposed` when the engine was disposed */
  core(): ContainerCore
  readonly monitor: MonitorControl
  /** @throws `call.disposed` when the engine was disposed */
  parts(): Parts
}
