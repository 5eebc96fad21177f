import { parseOptionObject } from 'tscontainer/driver-kit'

/** fuse-overlayfs has no options yet; any key is refused by name. */
export type FuseOverlayfsOptions = Readonly<Record<string, never>>

export function parseOptions(input: unknown): FuseOverlayfsOptions {
  return parseOptionObject('storage driver fuse-overlayfs', input, {})
}
