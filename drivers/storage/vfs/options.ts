import { parseOptionObject } from 'tscontainer/driver-kit'

/** vfs has no options yet; any key is refused by name. */
export type VfsOptions = Readonly<Record<string, never>>

export function parseOptions(input: unknown): VfsOptions {
  return parseOptionObject('storage driver vfs', input, {})
}
