import { closeSync, fchmodSync, fchownSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'

export interface ReplaceFileOptions {
  /** The new text survives power loss once the name does. */
  readonly synced: boolean
  /** Where it is written first: beside the file. Default: its name with `.new`, for one writer at a time. */
  readonly draft?: string
  /** Permissions before the umask. Default 0600. */
  readonly createMode?: number
  /** Permissions, whatever the umask. */
  readonly mode?: number | null
  /** Default: whoever writes. */
  readonly owner?: { readonly uid: number; readonly gid: number } | null
  /** Asked last; false leaves the file as it is. */
  readonly mayReplace?: () => boolean
}

/**
 * Writes a small file whole or not at all: readers, and whoever comes after a kill, see the old text or the new one. False
 * when it was not to be replaced any more.
 */
export function replaceFile(path: string, text: string, options: ReplaceFileOptions): boolean {
  const { synced, draft = `${path}.new`, owner = null, mayReplace = () => true } = options
  const { createMode = 0o600, mode = null } = options
  // Of one that was killed here.
  rmSync(draft, { force: true })
  try {
    const fd = openSync(draft, 'wx', createMode)
    try {
      // The owner first, which takes permissions away.
      if (owner) fchownSync(fd, owner.uid, owner.gid)
      if (mode !== null) fchmodSync(fd, mode)
      writeFileSync(fd, text)
      if (synced) fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    if (mayReplace()) {
      renameSync(draft, path)
      return true
    }
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
  rmSync(draft, { force: true })
  return false
}
