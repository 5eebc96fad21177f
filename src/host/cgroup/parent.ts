import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, fromNodeError, hostErrors } from '../../errors/host-errors.ts'
import type { CgroupMode } from '../kernel.ts'
import { memo } from '../memo.ts'
import { hasSystemd } from '../systemd.ts'
import { availableControllers, hierarchies, words } from './hierarchy.ts'

/** Where the containers of one engine or monitor lie in the cgroup tree. */
export interface CgroupParent {
  readonly id: string
  readonly mode: CgroupMode
  /** Which cgroup driver the runtime is to be told: `systemd` needs its `--systemd-cgroup` option. */
  readonly driver: 'cgroupfs' | 'systemd'
  /** Path below the hierarchies' roots: `/tscontainer/<id>`. */
  readonly path: string
  /** Controllers that limits can use below it. */
  readonly controllers: readonly string[]
  /** `linux.cgroupsPath` of a container's runtime spec. */
  cgroupsPathOf(containerId: string): string
  /** The same container's cgroup below the hierarchies' roots. */
  pathOf(containerId: string): string
}

export interface ParentOptions {
  /**
   * Default: `systemd` on v2 hosts that systemd manages, because only it may divide up the tree there; else `cgroupfs`.
   */
  readonly driver?: 'cgroupfs' | 'systemd'
}

const folder = 'tscontainer'
/** What limits need; `hugetlb` and others stay as the host has them. */
const wanted = new Set(['cpuset', 'cpu', 'io', 'memory', 'pids'])

/**
 * Path below which our folder lies: the root, or this process's own cgroup where the root may not be written (only a
 * subtree was delegated to us).
 */
const base = memo((): string => {
  const tree = hierarchies().used[0]
  if (!tree) return '/'
  for (const candidate of ['/', tree.own]) {
    try {
      mkdirSync(join(tree.directory, candidate, folder), { mode: 0o755 })
      return candidate
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return candidate
      if (candidate === tree.own) throw fromNodeError(error, 'Making a cgroup')
    }
  }
  return '/'
})

/** Makes the parent cgroup of an engine or monitor, with its controllers switched on (v2). Idempotent. */
export function ensureParent(id: string, options: ParentOptions = {}): CgroupParent {
  if (!/^[A-Za-z0-9_.]+$/.test(id))
    throw hostErrors.error('invalid', {
      message: `${JSON.stringify(id)} cannot name a cgroup: use letters and digits.`,
    })
  const { mode, used } = hierarchies()
  if (used.length === 0)
    throw hostErrors.error('unsupported', {
      message: 'No cgroup hierarchy is mounted. Mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup',
    })
  const driver = options.driver ?? (mode === 'v2' && hasSystemd() ? 'systemd' : 'cgroupfs')
  if (driver === 'systemd') return systemdParent(id, mode)
  const above = join(base(), folder)
  const path = join(above, id)
  let controllers: readonly string[] = availableControllers()
  if (mode === 'v2') {
    const root = used[0]!.directory
    enableControllers(join(root, base()))
    enableControllers(join(root, above))
    mkdirSync(join(root, path), { recursive: true })
    controllers = enableControllers(join(root, path))
  }
  return {
    id,
    mode,
    driver,
    path,
    controllers,
    cgroupsPathOf: (containerId) => join(path, containerId),
    pathOf: (containerId) => join(path, containerId),
  }
}

/** systemd makes the slice with the first scope in it, and removes both when they are empty. */
function systemdParent(id: string, mode: CgroupMode): CgroupParent {
  const slice = `${folder}-${id}.slice`
  const path = `/${folder}.slice/${slice}`
  return {
    id,
    mode,
    driver: 'systemd',
    path,
    controllers: availableControllers(),
    cgroupsPathOf: (containerId) => `${slice}:${folder}:${containerId}`,
    pathOf: (containerId) => join(path, `${folder}-${containerId}.scope`),
  }
}

/** Gives a v2 cgroup's controllers to its children; gives back those that are on. */
function enableControllers(directory: string): string[] {
  const read = (file: string) => words(readFileSync(join(directory, file), 'utf8'))
  const on = new Set(read('cgroup.subtree_control'))
  const missing = read('cgroup.controllers').filter((controller) => wanted.has(controller) && !on.has(controller))
  // Processes and controlled children exclude one another, except in the machine's root, which has no type. In a
  // container we meet our caller's processes in "the root": they move into a leaf beside ours, under the same limits.
  // First of all: with processes in it some controllers (cpu, pids) could be switched on, but only for threads.
  if (missing.length > 0 && existsSync(join(directory, 'cgroup.type'))) moveToLeaf(directory)
  for (const controller of missing)
    try {
      // One at a time: some are refused where others are not (cpu, while real-time processes exist).
      writeFileSync(join(directory, 'cgroup.subtree_control'), `+${controller}`)
      on.add(controller)
    } catch {}
  return [...on].sort()
}

function moveToLeaf(directory: string): void {
  const leaf = join(directory, `${folder}-init`)
  // Some may be born while others move.
  for (let round = 0; round < 10; round++) {
    const pids = words(readFileSync(join(directory, 'cgroup.procs'), 'utf8'))
    if (pids.length === 0) return
    mkdirSync(leaf, { recursive: true })
    for (const pid of pids) {
      try {
        writeFileSync(join(leaf, 'cgroup.procs'), pid)
      } catch (error) {
        if (errnoOf(error) !== 'ESRCH') return
      }
    }
  }
}

/** Ids of engines and monitors that have cgroups now, in any hierarchy. */
export function listParents(): string[] {
  const ids = new Set<string>()
  const folders = [join(base(), folder), `/${folder}.slice`]
  for (const { directory } of hierarchies().used)
    for (const path of folders) {
      if (!existsSync(join(directory, path))) continue
      for (const entry of readdirSync(join(directory, path), { withFileTypes: true }))
        if (entry.isDirectory()) ids.add(entry.name.replace(new RegExp(`^${folder}-(.*)\\.slice$`), '$1'))
    }
  return [...ids].sort()
}

/** Paths at which the engine or monitor `id` may have cgroups, whichever driver made them. */
export function parentPathsOf(id: string): string[] {
  return [join(base(), folder, id), `/${folder}.slice/${folder}-${id}.slice`]
}

/** Removes our folder where it is empty, in every hierarchy. For `reset`. */
export function removeEmptyFolder(): void {
  for (const { directory } of hierarchies().used)
    try {
      rmdirSync(join(directory, base(), folder))
    } catch (error) {
      if (!['ENOENT', 'EBUSY', 'ENOTEMPTY'].includes(errnoOf(error) ?? '')) throw fromNodeError(error)
    }
}
