import { join } from 'node:path'
import { linkOf, namesIn, textOf } from '../vanishing-files.ts'
import { directoriesOf } from './hierarchy.ts'
import { listParents, parentPathsOf } from './parent.ts'
import { processesOf } from './tree.ts'

const rootPrefix = 'root.'
/** As owners of roots are named; others' cgroups below our folder are theirs. */
const ownerId = /^[0-9a-f]{16}$/
const containerId = /[0-9a-f]{64}/
/** From a container's first process up to the wrapper that waits for it: the runtime may be between them. */
const generations = 4

/**
 * Paths of cgroups whose processes nobody will end: those of an engine that is dead and whose guard is dead too, and
 * those of detached containers whose data root was deleted. For garbage collection, from whichever root.
 */
export function abandonedCgroups(): string[] {
  const guarded = guardedOwners()
  return listParents().flatMap((id) =>
    parentPathsOf(id).flatMap((path) => {
      if (id.startsWith(rootPrefix)) return containersIn(path).filter((container) => lostItsRoot(container))
      const dead = ownerId.test(id) && !guarded.includes(id) && processesOf(path).length > 0
      return dead ? [path] : []
    }),
  )
}

/** The command lines of all guards; an engine's id is in that of its own. */
function guardedOwners(): string {
  return namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => textOf(`/proc/${pid}/cmdline`))
    .filter((command) => command.includes('tscontainer-guard'))
    .join('\n')
}

const containersIn = (path: string): string[] => [
  ...new Set(
    directoriesOf(path).flatMap((directory) =>
      namesIn(directory)
        .filter((name) => containerId.test(name))
        .map((name) => join(path, name)),
    ),
  ),
]

// A root that was only moved keeps its files: its descriptors then show where they are now.
function lostItsRoot(path: string): boolean {
  const id = containerId.exec(path)![0]
  const gone = (pid: number) =>
    namesIn(`/proc/${pid}/fd`).some((fd) => {
      const target = linkOf(`/proc/${pid}/fd/${fd}`)
      return target.includes(`/containers/${id}/`) && target.endsWith(' (deleted)')
    })
  return processesOf(path).some((pid) => ancestors(pid).some(gone))
}

function ancestors(pid: number): number[] {
  const found: number[] = []
  for (let at = pid; at > 1 && found.length < generations; at = parentOf(at)) found.push(at)
  return found
}

// Field 4 of /proc/<pid>/stat, counted after the name. Source: proc_pid_stat(5).
function parentOf(pid: number): number {
  const text = textOf(`/proc/${pid}/stat`)
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1] ?? 0)
}
