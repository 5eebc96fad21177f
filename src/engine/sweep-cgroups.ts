import { setTimeout as sleep } from 'node:timers/promises'
import { abandonedCgroups } from '../host/cgroup/abandoned.ts'
import type { Cgroups } from '../host/cgroup/cgroups.ts'
import { parentPathsOf, removeEmptyFolder } from '../host/cgroup/parent.ts'
import type { CallOptions } from '../lifetime/call-options.ts'

/** Ends what a dead owner left in its cgroups, whose guard died with it, and removes them. */
export async function sweepCgroups(cgroups: Cgroups, owner: string): Promise<void> {
  for (const path of parentPathsOf(owner)) {
    if (!cgroups.exists(path)) continue
    await cgroups.killTree(path)
    await cgroups.removeTree(path)
  }
}

/** How long nobody may look after a cgroup before it counts as abandoned: guards are replaced in milliseconds. */
const patienceMs = 500

/** Ends what is left of engines whose guard died with them, and of roots that were deleted, wherever they were. */
export async function sweepAbandoned(cgroups: Cgroups, call?: CallOptions): Promise<void> {
  const first = abandonedCgroups()
  if (first.length === 0) return
  await sleep(patienceMs, undefined, { signal: call?.signal })
  const still = new Set(abandonedCgroups())
  for (const path of first.filter((found) => still.has(found))) {
    await cgroups.killTree(path, call)
    await cgroups.removeTree(path, call)
  }
}

/** Removes the cgroups of an owner that leaves; all of its containers have ended. */
export async function removeOwnCgroups(cgroups: Cgroups, path: string): Promise<void> {
  await cgroups.removeTree(path)
  removeEmptyFolder()
}
