import type { CallOptions } from '../../lifetime/call-options.ts'
import { type OomWatch, watchOom } from './oom-watch.ts'
import { cgroupExists, freeze, isFrozen, killTree, processesOf, readOomKills, removeTree, thaw } from './tree.ts'
import { type ResourceUsage, readUsage } from './usage.ts'

/** Control of cgroups; all paths are below the hierarchies' roots: `/tscontainer/<id>/<container>`. */
export interface Cgroups {
  /** In any hierarchy. */
  exists(path: string): boolean
  /** Pids in it and below it; empty when it does not exist. */
  processes(path: string): readonly number[]
  /** Ends every process in it and below it; resolves when none is left. */
  killTree(path: string, call?: CallOptions): Promise<void>
  /** Removes it and everything below in every hierarchy. Idempotent. */
  removeTree(path: string, call?: CallOptions): Promise<void>
  /** Stops every process in it; resolves when all stand still. */
  freeze(path: string, call?: CallOptions): Promise<void>
  /** Whether all its processes stand still; false when it does not exist. */
  isFrozen(path: string): boolean
  /** Lets them go on. */
  thaw(path: string, call?: CallOptions): Promise<void>
  /** How many of its processes the kernel killed for want of memory; on v2 those below it count too. */
  oomKills(path: string): number
  /** What its processes and those below it have used; null when it is gone. */
  usage(path: string): ResourceUsage | null
  /** For v1, where the counter vanishes with the cgroup; null elsewhere. */
  watchOom(path: string): OomWatch | null
}

/** The machine's own. */
export const cgroups: Cgroups = {
  exists: cgroupExists,
  processes: processesOf,
  killTree,
  removeTree,
  freeze,
  isFrozen,
  thaw,
  oomKills: readOomKills,
  usage: readUsage,
  watchOom,
}
