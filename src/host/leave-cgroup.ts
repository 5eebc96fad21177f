import { rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, fromNodeError } from '../errors/host-errors.ts'
import { hierarchies } from './cgroup/hierarchy.ts'

/**
 * Roots of the hierarchies in which this process is confined to a cgroup. A helper that must outlive the caller's job
 * or service moves to them: the root cgroup cannot be ended, limited or frozen with the caller.
 */
export function confiningRoots(): string[] {
  // All of them, not only those that containers use: systemd ends services by a tree of its own.
  return hierarchies()
    .all.filter((h) => h.own !== '/')
    .map((h) => h.directory)
}

/**
 * Shell lines that move the shell itself out of the caller's cgroups: `$1` says how many roots follow, and all of them
 * are shifted away. Where the root takes no processes (v2 inside a container), a leaf below it does. Failures are
 * ignored: then the helper shares its caller's fate, no more.
 */
export const leaveCgroups = `
count=$1; shift
while [ "$count" -gt 0 ]; do
  { echo $$ >"$1/cgroup.procs" || { mkdir -p "$1/tscontainer-aux" && echo $$ >"$1/tscontainer-aux/cgroup.procs"; }; } 2>/dev/null
  shift; count=$((count - 1))
done
`

/** Removes the leaves that `leaveCgroups` made, where no helper is in them any more. */
export function removeEmptyLeaves(): void {
  for (const { directory } of hierarchies().all)
    try {
      rmdirSync(join(directory, 'tscontainer-aux'))
    } catch (error) {
      if (!['ENOENT', 'EBUSY', 'ENOTEMPTY', 'EROFS'].includes(errnoOf(error) ?? '')) throw fromNodeError(error)
    }
}
