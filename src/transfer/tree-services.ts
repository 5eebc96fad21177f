import type { PackThreads } from '../layer/pack-threads.ts'
import type { SnapshotService } from '../snapshot/snapshot-service.ts'

/** What makes layers of trees. */
export interface TreeServices {
  readonly storage: SnapshotService
  readonly threads: PackThreads
  /** A directory of the engine's own, for empty mount points. */
  readonly scratch: string
  /** Owner of what is made meanwhile. */
  readonly owner: string
}
