import type { MountSpec } from 'tscontainer/driver-kit'

/** Each layer is a descriptor of the program; its limit is often 1,024. */
export const maxDepth = 500

// The engine's own notation, which is that of the kernel's overlay.
const escapePath = (path: string): string => path.replaceAll(/[\\,:]/g, '\\$&')

/** The type tells the engine which program serves it. */
export function fuseOverlayMount(layers: { lower: readonly string[]; upper?: string; work?: string }): MountSpec {
  const options = [`lowerdir=${layers.lower.map(escapePath).join(':')}`]
  if (layers.upper !== undefined && layers.work !== undefined)
    options.push(`upperdir=${escapePath(layers.upper)}`, `workdir=${escapePath(layers.work)}`)
  else options.unshift('ro')
  return { type: 'fuse.fuse-overlayfs', source: 'fuse-overlayfs', options }
}

export function bindMount(source: string, readOnly: boolean): MountSpec {
  return { type: 'bind', source, options: readOnly ? ['bind', 'ro'] : ['bind'] }
}
