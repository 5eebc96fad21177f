import type { ContainerCore } from '../container/container-core.ts'
import type { ContainerId } from '../driver-kit/ids.ts'
import type { TreeChange } from '../layer/change-list.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Operation, OperationContext } from '../progress/operation.ts'
import type { RunningCalls } from '../progress/running-calls.ts'
import type { CommitOptions } from '../transfer/commit-options.ts'
import type { PullOptions } from '../transfer/pull-image.ts'
import type { Image } from './image.ts'
import type { MonitorControl } from './monitor-control.ts'
import type { ContainerPruneFilter, ContainersPruneReport } from './removal-reports.ts'

/** What handles on containers reach of their engine. */
export interface ContainerBackend {
  readonly calls: RunningCalls
  /** @throws `call.disposed` when the engine was disposed */
  core(): ContainerCore
  readonly monitor: MonitorControl
  /** Pulls an image by its name as the policy says, unless the text is the id of one that is here. */
  bringImage(image: string, options: PullOptions, context: OperationContext): Promise<void>
  /** What the container has changed, in the order of the paths. */
  diff(id: ContainerId, call?: CallOptions): Promise<readonly TreeChange[]>
  commit(id: ContainerId, options: CommitOptions | undefined, context: OperationContext): Promise<Image>
  prune(filter: ContainerPruneFilter | undefined, call?: CallOptions): Promise<ContainersPruneReport>
  exportRootfs(id: ContainerId, target: string | NodeJS.WritableStream, call?: CallOptions): Operation<void>
}
