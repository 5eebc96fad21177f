import type { Cgroups } from '../host/cgroup/cgroups.ts'
import { parentPathsOf, removeEmptyFolder } from '../host/cgroup/parent.ts'

/** Ends what a dead owner left in its cgroups, whose guard died with it, and removes them. */
export async function sweepCgroups(cgroups: Cgroups, owner: string): Promise<void> {
  for (const path of parentPathsOf(owner)) {
    if (!cgroups.exists(path)) continue
    await cgroups.killTree(path)
    await cgroups.removeTree(path)
  }
}

/** Removes the cgroups of an owner that leaves; all of its containers have ended. */
export async function removeOwnCgroups(cgroups: Cgroups, path: string): Promise<void> {
  await cgroups.removeTree(path)
  removeEmptyFolder()
}
