import type { MountSpec } from 'tscontainer/driver-kit'

/** What overlay can do here, found out by `trial`. */
export interface OverlaySupport {
  /** Options that every mount gets: features set explicitly, never left to the kernel's defaults. */
  readonly options: readonly string[]
  readonly volatile: boolean
  /** Whether layers can be shown with shifted owners; else why not. */
  readonly idMap: true | { readonly lacking: string }
  readonly xattrPrefix: 'trusted.overlay.' | 'user.overlay.'
}

/**
 * Features off, each for a reason: `redirect_dir` and `metacopy` leave directories and files in the upper layer that are not
 * whole without their lower ones, so a layer made from them would lose content; `index` ties an upper directory to one
 * lower stack; `xino` changes inode numbers between kernels. `nofollow`, because `off`
 * may follow redirects that a layer brings along (`redirect_always_follow`), and because `userxattr` goes with nothing
 * else. Source: Documentation/filesystems/overlayfs.rst.
 */
export const features = ['redirect_dir=nofollow', 'metacopy=off', 'index=off', 'xino=off'] as const

/** Longest list of lower directories that the kernel takes (OVL_MAX_STACK in fs/overlayfs/params.h). */
export const kernelMaxDepth = 500

// The option string is split at commas and the lower directories at colons, unless a backslash stands before them.
const escapePath = (path: string): string => path.replaceAll(/[\\,:]/g, '\\$&')
// The upper and work directories are not split at colons; kernels since 6.5 keep a backslash that escapes nothing.
const escapeComma = (path: string): string => path.replaceAll(/[\\,]/g, '\\$&')

export function overlayMount(
  support: OverlaySupport,
  layers: { lower: readonly string[]; upper?: string; work?: string; volatile?: boolean },
): MountSpec {
  const options = [`lowerdir=${layers.lower.map(escapePath).join(':')}`]
  if (layers.upper !== undefined && layers.work !== undefined)
    options.push(`upperdir=${escapeComma(layers.upper)}`, `workdir=${escapeComma(layers.work)}`)
  else options.unshift('ro')
  options.push(...support.options)
  if (layers.volatile && support.volatile) options.push('volatile')
  return { type: 'overlay', source: 'overlay', options }
}

export function bindMount(source: string, readOnly: boolean): MountSpec {
  return { type: 'bind', source, options: readOnly ? ['bind', 'ro'] : ['bind'] }
}
