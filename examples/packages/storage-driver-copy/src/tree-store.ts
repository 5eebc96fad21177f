import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DraftId, SnapshotId, SnapshotInfo } from 'tscontainer/driver-kit'
import { copyErrors } from './errors.ts'

type Kind = SnapshotInfo['kind']
type TreeId = DraftId | SnapshotId

interface Record {
  readonly parent: SnapshotId | null
  readonly createdAt: string
}

const kinds: readonly Kind[] = ['draft', 'view', 'snapshot']

/**
 * Trees on disk: `<kind>/<id>/tree` and `<kind>/<id>/record.json`. A tree is made in `unfinished/` and gets its place by
 * one rename, and leaves it by one rename back, so that a kill at any moment shows the state before or after.
 */
export class TreeStore {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** Makes the folders and deletes what a crash left unfinished. */
  static async open(directory: string): Promise<TreeStore> {
    await rm(join(directory, 'unfinished'), { recursive: true, force: true })
    for (const folder of [...kinds, 'unfinished'])
      await mkdir(join(directory, folder), { recursive: true, mode: 0o700 })
    return new TreeStore(directory)
  }

  #home(kind: Kind, id: TreeId): string {
    return join(this.#directory, kind, encodeURIComponent(id))
  }

  tree(info: Pick<SnapshotInfo, 'kind' | 'id'>): string {
    return join(this.#home(info.kind, info.id), 'tree')
  }

  async find(id: TreeId): Promise<SnapshotInfo | null> {
    for (const kind of kinds) {
      try {
        const record = JSON.parse(await readFile(join(this.#home(kind, id), 'record.json'), 'utf8')) as Record
        return { id, kind, parent: record.parent, createdAt: new Date(record.createdAt) }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
    return null
  }

  async get(id: TreeId): Promise<SnapshotInfo> {
    const info = await this.find(id)
    if (info) return info
    throw copyErrors.error('unknown_tree', {
      message: `The storage driver copy has no tree "${id}".`,
      subject: { type: 'snapshot', id },
    })
  }

  /** Makes a tree; `fill` gets the directory to make it in, which must not exist before. */
  async add(kind: Kind, id: TreeId, parent: SnapshotId | null, fill: (tree: string) => Promise<void>): Promise<void> {
    if (await this.find(id))
      throw copyErrors.error('id_in_use', {
        message: `The storage driver copy has a tree "${id}" already; use another id or remove it.`,
        subject: { type: 'snapshot', id },
      })
    const workplace = await mkdtemp(join(this.#directory, 'unfinished/add-'))
    try {
      await fill(join(workplace, 'tree'))
      const record: Record = { parent, createdAt: new Date().toISOString() }
      await writeFile(join(workplace, 'record.json'), JSON.stringify(record))
      await rename(workplace, this.#home(kind, id))
    } catch (error) {
      await rm(workplace, { recursive: true, force: true })
      throw error
    }
  }

  /** Turns a draft into a snapshot. */
  async promote(draft: DraftId, as: SnapshotId): Promise<void> {
    await rename(this.#home('draft', draft), this.#home('snapshot', as))
  }

  async delete(info: SnapshotInfo): Promise<void> {
    const workplace = await mkdtemp(join(this.#directory, 'unfinished/delete-'))
    await rename(this.#home(info.kind, info.id), join(workplace, 'gone'))
    await rm(workplace, { recursive: true, force: true })
  }

  async *list(): AsyncGenerator<SnapshotInfo> {
    for (const kind of kinds)
      for (const name of await readdir(join(this.#directory, kind))) {
        const info = await this.find(decodeURIComponent(name) as TreeId)
        if (info) yield info
      }
  }
}
