import type { ContainerCore } from '../container/container-core.ts'
import type { ContainerId } from '../driver-kit/ids.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Operation } from '../progress/operation.ts'
import type { MonitorControl } from './monitor-control.ts'

/** What handles on containers reach of their engine. */
export interface ContainerBackend {
  /** @throws `call.disposed` when the engine was disposed */
  core(): ContainerCore
  readonly monitor: MonitorControl
  exportRootfs(id: ContainerId, target: string | NodeJS.WritableStream, call?: CallOptions): Operation<void>
}
