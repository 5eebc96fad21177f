import { chmodSync, mkdirSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CallOptions,
  type ChangeHint,
  type DraftId,
  type DriverContext,
  type MountSpec,
  type PrepareOptions,
  type SnapshotId,
  type SnapshotInfo,
  type SnapshotUsage,
  type StorageCapabilities,
  type StorageDriver,
  type StorageHealth,
  type StoredTree,
  storageErrors,
  TreeStore,
  throwIfAborted,
  treeUsage,
} from 'tscontainer/driver-kit'
import { copyTree } from './copy-tree.ts'

/** Version of the format below the driver's directory: a `TreeStore`, each tree with its files in tree/. */
const formatVersion = 1

/** Every tree is a whole copy of its parent's, changed in place. Works on any file system, nested and in containers. */
export class VfsDriver implements StorageDriver {
  readonly name = 'vfs'
  readonly capabilities: StorageCapabilities = {
    maxDepth: Number.MAX_SAFE_INTEGER,
    quota: false,
    idMap: false,
    cloneDraft: false,
    changeHint: true,
  }
  readonly #context: DriverContext
  readonly #store: TreeStore

  private constructor(context: DriverContext, store: TreeStore) {
    this.#context = context
    this.#store = store
  }

  static async open(context: DriverContext, call?: CallOptions): Promise<VfsDriver> {
    return new VfsDriver(context, await TreeStore.open(context, { driver: 'vfs', version: formatVersion }, call))
  }

  async prepare(draft: DraftId, parent: SnapshotId | null, options?: PrepareOptions): Promise<readonly MountSpec[]> {
    if (options?.quotaBytes !== undefined)
      throw storageErrors.error('unsupported', {
        message: `Storage driver vfs cannot limit the size of ${draft}. Leave the limit out, or use another driver.`,
        subject: { type: 'draft', id: draft },
      })
    const below = parent === null ? null : this.#store.snapshot(parent)
    const tree = await this.#store.create(
      { id: draft, parent: below, kind: 'draft', facts: {} },
      (directory) =>
        below ? copyTree(this.#context.host, treeOf(below), join(directory, 'tree'), options) : makeRoot(directory),
      options,
    )
    return this.#mountsOf(tree)
  }

  async view(draft: DraftId, parent: SnapshotId | null, options?: CallOptions): Promise<readonly MountSpec[]> {
    const below = parent === null ? null : this.#store.snapshot(parent)
    const tree = await this.#store.create(
      { id: draft, parent: below, kind: 'view', facts: {} },
      (directory) => (below ? undefined : makeRoot(directory)),
      options,
    )
    return this.#mountsOf(tree)
  }

  async mounts(draft: DraftId, call?: CallOptions): Promise<readonly MountSpec[]> {
    throwIfAborted(call, `Reading the mounts of ${draft}`)
    return this.#mountsOf(this.#store.draft(draft))
  }

  async changes(draft: DraftId, call?: CallOptions): Promise<ChangeHint> {
    throwIfAborted(call, `Reading the changes of ${draft}`)
    const tree = this.#store.draft(draft)
    return { format: 'trees', directory: this.#shown(tree), parent: this.#parentTree(tree) }
  }

  async commit(draft: DraftId, as: SnapshotId, options?: CallOptions): Promise<void> {
    await this.#store.commit(
      draft,
      as,
      async () => {
        await this.#context.host.run('sync', ['-f', this.#context.directory], { ...options, timeoutMs: 3_600_000 })
      },
      options,
    )
  }

  async remove(id: DraftId | SnapshotId, call?: CallOptions): Promise<void> {
    throwIfAborted(call, `Removing ${id}`)
    this.#store.remove(id)
  }

  async stat(id: DraftId | SnapshotId, call?: CallOptions): Promise<SnapshotInfo> {
    throwIfAborted(call, `Looking at ${id}`)
    return infoOf(this.#store.get(id))
  }

  async usage(id: DraftId | SnapshotId, call?: CallOptions): Promise<SnapshotUsage> {
    const tree = this.#store.get(id)
    return tree.kind === 'view' ? { bytes: 0, inodes: 0 } : treeUsage(treeOf(tree), call)
  }

  async *list(call?: CallOptions): AsyncIterable<SnapshotInfo> {
    for (const tree of this.#store.list()) {
      throwIfAborted(call, 'Listing snapshots')
      yield infoOf(tree)
    }
  }

  async health(call?: CallOptions): Promise<StorageHealth> {
    throwIfAborted(call, 'Checking storage')
    this.#store.checkOpen()
    const { bavail, blocks } = statfsSync(this.#context.directory)
    const full = bavail < blocks / 50
    return {
      state: full ? 'degraded' : 'good',
      messages: full ? [`The disk of ${this.#context.directory} is nearly full. Remove images or containers.`] : [],
      facts: {},
    }
  }

  async reclaim(call?: CallOptions): Promise<{ readonly freedBytes: number | null }> {
    throwIfAborted(call, 'Reclaiming space')
    this.#store.checkOpen()
    await this.#store.emptyTrash()
    return { freedBytes: null }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#store[Symbol.asyncDispose]()
  }

  #parentTree(tree: StoredTree): string | null {
    return tree.parent === null ? null : join(this.#context.directory, 'snapshots', tree.parent, 'tree')
  }

  /** A view shows its parent's own files. */
  #shown(tree: StoredTree): string {
    return (tree.kind === 'view' ? this.#parentTree(tree) : null) ?? treeOf(tree)
  }

  #mountsOf(tree: StoredTree): readonly MountSpec[] {
    return [{ type: 'bind', source: this.#shown(tree), options: tree.kind === 'view' ? ['bind', 'ro'] : ['bind'] }]
  }
}

const treeOf = (tree: StoredTree): string => join(tree.directory, 'tree')

const infoOf = ({ id, kind, parent, createdAt }: StoredTree): SnapshotInfo => ({ id, kind, parent, createdAt })

function makeRoot(directory: string): void {
  const tree = join(directory, 'tree')
  mkdirSync(tree, { mode: 0o755 })
  // Whatever the umask of the process is.
  chmodSync(tree, 0o755)
}
