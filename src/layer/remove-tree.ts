import { readdirSync, rmdirSync, unlinkSync } from 'node:fs'

/** Deletes a file or directory with all below it, names being bytes; links are not followed. A missing one is no error. */
export function removeTree(path: Buffer): void {
  try {
    unlinkSync(path)
    return
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return
    if (code !== 'EISDIR' && code !== 'EPERM') throw error
  }
  for (const name of readdirSync(path, { encoding: 'buffer' }))
    removeTree(Buffer.concat([path, Buffer.from('/'), name]))
  rmdirSync(path)
}
