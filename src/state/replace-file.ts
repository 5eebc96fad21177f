import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/**
 * Writes a small file whole or not at all: readers, and whoever comes after a kill, see the old text or the new one.
 * `synced`: the new text survives power loss once the name does. One writer at a time: call it inside a write transaction.
 */
export function replaceFile(path: string, text: string, options: { readonly synced: boolean }): void {
  const draft = `${path}.new`
  try {
    const fd = openSync(draft, 'w', 0o600)
    try {
      writeFileSync(fd, text)
      if (options.synced) fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}
