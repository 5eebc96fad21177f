import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CallOptions,
  type ChangeHint,
  type DraftId,
  type DriverContext,
  type MountSpec,
  type StorageCapabilities,
  type StoredTree,
  TreeProjects,
  TreeStorage,
  TreeStore,
  type TreeWish,
  throwIfAborted,
} from 'tscontainer/driver-kit'
import { copyTree } from './copy-tree.ts'

/** Version of the format below the driver's directory: a `TreeStore`, each tree with its files in tree/. */
const formatVersion = 1

/** Every tree is a whole copy of its parent's, changed in place. Works on any file system, nested and in containers. */
export class VfsDriver extends TreeStorage {
  readonly name = 'vfs'
  readonly capabilities: StorageCapabilities

  private constructor(context: DriverContext, store: TreeStore, projects: TreeProjects) {
    super(context, store, projects)
    this.capabilities = {
      maxDepth: Number.MAX_SAFE_INTEGER,
      quota: projects.state.enforced,
      ...(projects.reason === undefined ? {} : { reasons: { quota: projects.reason } }),
      idMap: false,
      cloneDraft: false,
      changeHint: true,
    }
  }

  static async open(context: DriverContext, call?: CallOptions): Promise<VfsDriver> {
    const store = await TreeStore.open(context, { driver: 'vfs', version: formatVersion }, call)
    try {
      return new VfsDriver(context, store, await TreeProjects.open(context, store, call))
    } catch (error) {
      await store[Symbol.asyncDispose]()
      throw error
    }
  }

  async changes(draft: DraftId, call?: CallOptions): Promise<ChangeHint> {
    throwIfAborted(call, `Reading the changes of ${draft}`)
    const tree = this.store.draft(draft)
    return { format: 'trees', directory: this.#shown(tree), parent: this.#parentTree(tree) }
  }

  protected override copiedBytes(draft: StoredTree): number {
    return Number(readFileSync(join(draft.directory, copiedName), 'utf8'))
  }

  protected override filesOf(tree: StoredTree): string {
    return join(tree.directory, 'tree')
  }

  protected override make({ id, parent, kind, limit, options }: TreeWish): Promise<StoredTree> {
    const fill = async (directory: string) => {
      if (kind === 'view' && parent) return
      const tree = join(directory, 'tree')
      if (limit || !parent) {
        mkdirSync(tree, { mode: 0o755 })
        // Whatever the umask of the process is.
        chmodSync(tree, 0o755)
      }
      limit?.project.assign(tree)
      if (parent) await copyTree(this.context.host, this.filesOf(parent), tree, options)
      if (!limit) return
      // The copy is charged as well, and is not what the caller wants limited.
      const copied = limit.project.used()
      writeFileSync(join(directory, copiedName), String(copied), { mode: 0o600 })
      limit.project.limitTo(copied + limit.bytes)
    }
    const facts = limit ? { project: limit.project.id } : {}
    return this.store.create({ id, parent, kind, facts }, fill, options)
  }

  #parentTree(tree: StoredTree): string | null {
    return tree.parent === null ? null : join(this.context.directory, 'snapshots', tree.parent, 'tree')
  }

  /** A view shows its parent's own files. */
  #shown(tree: StoredTree): string {
    return (tree.kind === 'view' ? this.#parentTree(tree) : null) ?? this.filesOf(tree)
  }

  protected override mountsOf(tree: StoredTree): readonly MountSpec[] {
    return [{ type: 'bind', source: this.#shown(tree), options: tree.kind === 'view' ? ['bind', 'ro'] : ['bind'] }]
  }
}

/** Beside the tree of a draft with a size limit: how much of it is the parent's copy, in bytes. */
const copiedName = 'copied-bytes'
