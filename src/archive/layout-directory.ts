import { lstat, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { archiveErrors } from '../errors/archive-errors.ts'
import type { ArchiveFile, ArchiveFiles } from './archive-files.ts'
import { cleanPath } from './archive-path.ts'

/**
 * The files of a directory. Symbolic links are refused, so that a layout made by somebody else cannot have files of
 * the host read as its own.
 */
export class LayoutDirectory implements ArchiveFiles {
  readonly #root: string
  readonly mayBeCut = false

  /** `root` without symbolic links. */
  constructor(root: string) {
    this.#root = root
  }

  async find(name: string): Promise<ArchiveFile | null> {
    const clean = cleanPath(name)
    const path = join(this.#root, clean)
    try {
      const facts = await lstat(path)
      if (!facts.isFile() || (await realpath(path)) !== path)
        throw archiveErrors.error('unsafe_path', {
          message: `"${clean}" in ${this.#root} is not a plain file of that directory (a link, perhaps). Copy it there.`,
          subject: { type: 'file', id: path },
        })
      return { name: clean, size: facts.size, content: { kind: 'range', path, offset: 0 } }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'ENOENT' || code === 'ENOTDIR') return null
      throw error
    }
  }
}
