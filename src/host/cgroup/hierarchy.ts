import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CgroupMode } from '../kernel.ts'
import { memo } from '../memo.ts'
import { readMountTable } from '../mount-info.ts'
import type { MountTable } from '../mount-table.ts'

/** A mounted cgroup hierarchy. */
export interface Hierarchy {
  readonly version: 1 | 2
  /** Where it is mounted. */
  readonly directory: string
  /** Controllers of a v1 hierarchy (`name=systemd` among them); empty for v2, see `cgroup.controllers` there. */
  readonly controllers: readonly string[]
  /** This process's cgroup in it, below the mount; `/` for its root. */
  readonly own: string
}

export interface Hierarchies {
  readonly mode: CgroupMode
  readonly all: readonly Hierarchy[]
  /** Where containers are put: the v2 tree in mode v2, else the v1 hierarchies. */
  readonly used: readonly Hierarchy[]
}

const notControllers = new Set(['rw', 'ro', 'xattr', 'release_agent', 'noprefix', 'clone_children', 'cpuset_v2_mode'])

/**
 * Reads mountinfo and /proc/<pid>/cgroup texts. Source: cgroups(7). A path in the latter is seen from the cgroup
 * namespace's root; where only a part of a hierarchy is mounted (a container), `root` of the mount is its beginning.
 */
export function parseHierarchies(mounts: MountTable, membership: string): Hierarchies {
  const memberships = membership
    .split('\n')
    .map((line) => /^\d+:([^:]*):(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map((match) => ({ controllers: match[1]!, path: match[2]! }))
  const all: Hierarchy[] = []
  for (const entry of mounts) {
    if (entry.type !== 'cgroup' && entry.type !== 'cgroup2') continue
    if (all.some((known) => known.directory === entry.target)) continue
    const version = entry.type === 'cgroup2' ? 2 : 1
    const controllers =
      version === 2 ? [] : entry.superOptions.filter((o) => !notControllers.has(o) && !o.startsWith('release_agent='))
    const path =
      memberships.find((m) =>
        version === 2 ? m.controllers === '' : m.controllers.split(',').some((c) => controllers.includes(c)),
      )?.path ?? '/'
    const inside = entry.root !== '/' && path.startsWith(entry.root) ? path.slice(entry.root.length) : path
    all.push({ version, directory: entry.target, controllers, own: join('/', inside) })
  }
  const v1 = all.filter((h) => h.version === 1)
  const v2 = all.filter((h) => h.version === 2)
  // A v1 tree without controllers (systemd's own) beside a full v2 tree is a v2 host.
  const v1Controllers = v1.some((h) => h.controllers.some((c) => !c.startsWith('name=')))
  const mode = v1Controllers ? (v2.length > 0 ? 'hybrid' : 'v1') : 'v2'
  return { mode, all, used: mode === 'v2' ? v2.slice(0, 1) : v1 }
}

/** The hierarchies of this machine, read once. */
export const hierarchies: () => Hierarchies = memo(() =>
  parseHierarchies(readMountTable('self'), readFileSync('/proc/self/cgroup', 'utf8')),
)

/** Controllers that containers can be limited with. */
export function availableControllers(): string[] {
  const { mode, used } = hierarchies()
  if (mode !== 'v2') return used.flatMap((h) => h.controllers).filter((c) => !c.startsWith('name='))
  const tree = used[0]
  return tree ? words(readFileSync(join(tree.directory, 'cgroup.controllers'), 'utf8')) : []
}

/** Splits at white space. */
export function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}

/** The directories of a cgroup path in all hierarchies that containers use, the best one for finding processes first. */
export function directoriesOf(path: string): string[] {
  const order = ['freezer', 'pids', 'memory', 'name=systemd']
  const rank = (h: Hierarchy) => {
    const index = order.findIndex((name) => h.controllers.includes(name))
    return index < 0 ? order.length : index
  }
  return [...hierarchies().used].sort((a, b) => rank(a) - rank(b)).map((h) => join(h.directory, path))
}
