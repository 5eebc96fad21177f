import { archiveErrors } from '../errors/archive-errors.ts'
import type { ArchiveFile, ArchiveFiles, FileContent } from './archive-files.ts'
import { cleanPath, followLink } from './archive-path.ts'
import type { TarEntry } from './tar-entries.ts'

type Item = { readonly file: ArchiveFile } | { readonly link: string }

const maxLinks = 10

/** What a tar holds, gathered entry by entry. Links are resolved when they are asked for: their targets may come later. */
export class TarCatalog implements ArchiveFiles {
  readonly #items = new Map<string, Item>()
  /** The tar lacks its end mark: a missing file may have been cut off. */
  mayBeCut = true

  /**
   * Takes an entry in; for files `place` says where the bytes are.
   *
   * @throws `archive.unsafe_path`, `archive.duplicate_entry`
   */
  async add(entry: TarEntry, place: (name: string) => Promise<FileContent>): Promise<void> {
    const name = cleanPath(entry.path)
    if (entry.type === 'directory' || name === '') return
    if (entry.type === 'other')
      throw archiveErrors.error('corrupt', {
        message: `The archive holds "${name}", which is neither a file nor a link nor a directory. An image archive has no such things.`,
        subject: { type: 'file', id: name },
      })
    if (this.#items.has(name))
      throw archiveErrors.error('duplicate_entry', {
        message: `The archive holds "${name}" twice. Which of them is meant would be a guess; make it again.`,
        subject: { type: 'file', id: name },
      })
    if (entry.type === 'symlink') this.#items.set(name, { link: followLink(name, entry.link) })
    else if (entry.type === 'link') this.#items.set(name, { link: cleanPath(entry.link) })
    else {
      const content = await place(name)
      this.#items.set(name, { file: { name, size: entry.size, content } })
    }
  }

  async find(name: string): Promise<ArchiveFile | null> {
    let at = cleanPath(name)
    for (let hops = 0; hops <= maxLinks; hops++) {
      const item = this.#items.get(at)
      if (!item) return null
      if ('file' in item) return item.file
      at = item.link
    }
    throw archiveErrors.error('corrupt', {
      message: `The links of the archive lead from "${name}" in a circle.`,
      subject: { type: 'file', id: name },
    })
  }
}
