import { closeSync, constants, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { isEngineError } from '../errors/engine-error.ts'
import { O_PATH, openInRoot } from '../host/syscall/file.ts'
import { type AccountFiles, type ResolvedUser, resolveUser } from '../runtime/resolve-user.ts'

/** /etc/passwd may be hostile: this much of it is read. */
const maxFile = 4 << 20

/** passwd and group of a tree; links inside it never lead out of it (openat2(2), RESOLVE_IN_ROOT). */
export function readAccounts(rootPath: string): AccountFiles {
  return withRoot(rootPath, (root) => ({
    passwd: readInRoot(root, 'etc/passwd'),
    group: readInRoot(root, 'etc/group'),
  }))
}

export const lookUpUser = (rootPath: string, user: string): ResolvedUser => resolveUser(user, readAccounts(rootPath))

/**
 * Makes a directory and its parents inside a tree, mode 0755, owned by root; existing ones stay as they are. True when
 * nothing had to be made.
 */
export function makeDirectoryInRoot(rootPath: string, directory: string): boolean {
  return withRoot(rootPath, (root) => {
    let existed = true
    const names = directory.split('/').filter((name) => name !== '' && name !== '.')
    for (let depth = 1; depth <= names.length; depth++) {
      if (tryOpen(root, names.slice(0, depth).join('/'), O_PATH) !== null) continue
      existed = false
      const parent = openInRoot(root, names.slice(0, depth - 1).join('/') || '.', O_PATH | constants.O_DIRECTORY)
      try {
        mkdirSync(`/proc/self/fd/${parent}/${names[depth - 1]}`, { mode: 0o755 })
      } finally {
        closeSync(parent)
      }
    }
    return existed
  })
}

function withRoot<T>(rootPath: string, use: (root: number) => T): T {
  const root = openSync(rootPath, O_PATH | constants.O_DIRECTORY)
  try {
    return use(root)
  } finally {
    closeSync(root)
  }
}

/** True when it opened; the descriptor is closed again. */
function tryOpen(root: number, path: string, flags: number): true | null {
  try {
    closeSync(openInRoot(root, path, flags))
    return true
  } catch (error) {
    if (isEngineError(error, { kind: 'not_found' })) return null
    throw error
  }
}

function readInRoot(root: number, path: string): Uint8Array | null {
  let file: number
  try {
    // O_NONBLOCK: an image may have a FIFO there.
    file = openInRoot(root, path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (isEngineError(error)) return null
    throw error
  }
  try {
    const facts = statSync(`/proc/self/fd/${file}`)
    return facts.isFile() && facts.size <= maxFile ? readFileSync(file) : null
  } finally {
    closeSync(file)
  }
}
