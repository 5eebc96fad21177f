import type { RuntimeSpec } from 'tscontainer/driver-kit'

/** Whether a spec's `cgroupsPath` has systemd's form, `slice:prefix:name`. */
export const isSystemdPath = (cgroupsPath: string): boolean => cgroupsPath.includes(':')

/** The container's cgroup below the hierarchies' roots; null when the spec names none. */
export function cgroupOf(spec: RuntimeSpec): string | null {
  const path = spec.linux.cgroupsPath
  if (path === undefined) return null
  if (!isSystemdPath(path)) return path.startsWith('/') ? path : `/${path}`
  const [slice = '', prefix = '', name = ''] = path.split(':')
  return `${sliceOf(slice)}/${prefix === '' ? '' : `${prefix}-`}${name}.scope`
}

// systemd.slice(5): a-b.slice lies in a.slice.
function sliceOf(slice: string): string {
  const words = slice.replace(/\.slice$/, '').split('-')
  if (slice === '' || slice === '-.slice') return ''
  return words.map((_, index) => `/${words.slice(0, index + 1).join('-')}.slice`).join('')
}

/** The last part of a cgroup path that keeps counters of a container beyond its end; see `nestCgroup`. */
const leaf = '/c'

/**
 * On v2 the counter of OOM kills goes with the cgroup, which runtimes remove as soon as the program has ended; a cgroup
 * above counts them too. So containers with a memory limit get one of their own above.
 */
export function nestCgroup(spec: RuntimeSpec, mode: 'v1' | 'hybrid' | 'v2'): { spec: RuntimeSpec; nested: boolean } {
  const path = spec.linux.cgroupsPath
  if (mode !== 'v2' || path === undefined || isSystemdPath(path) || !spec.linux.resources?.memory)
    return { spec, nested: false }
  return { spec: { ...spec, linux: { ...spec.linux, cgroupsPath: `${path}${leaf}` } }, nested: true }
}

/** The cgroup that is to be removed with a container: the one above its own where `nestCgroup` made one. */
export function outerCgroup(path: string): string {
  return path.endsWith(leaf) ? path.slice(0, -leaf.length) : path
}
