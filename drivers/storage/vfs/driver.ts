import { chmodSync, mkdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
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
  type TreeProject,
  TreeProjects,
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
  readonly capabilities: StorageCapabilities
  readonly #context: DriverContext
  readonly #store: TreeStore
  readonly #projects: TreeProjects

  private constructor(context: DriverContext, store: TreeStore, projects: TreeProjects) {
    this.#context = context
    this.#store = store
    this.#projects = projects
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

  async prepare(draft: DraftId, parent: SnapshotId | null, options?: PrepareOptions): Promise<readonly MountSpec[]> {
    const below = parent === null ? null : this.#store.snapshot(parent)
    const project = options?.quotaBytes === undefined ? null : await this.#projects.claim(draft, options)
    try {
      const facts = project ? { project: project.id } : {}
      const make = (directory: string) => this.#fill(directory, below, project, options)
      return this.#mountsOf(await this.#store.create({ id: draft, parent: below, kind: 'draft', facts }, make, options))
    } catch (error) {
      project?.release()
      throw error
    }
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
    const tree = this.#store.draft(draft)
    this.#projects.check(tree)
    return this.#mountsOf(tree)
  }

  async changes(draft: DraftId, call?: CallOptions): Promise<ChangeHint> {
    throwIfAborted(call, `Reading the changes of ${draft}`)
    const tree = this.#store.draft(draft)
    return { format: 'trees', directory: this.#shown(tree), parent: this.#parentTree(tree) }
  }

  async resize(draft: DraftId, bytes: number, call?: CallOptions): Promise<void> {
    throwIfAborted(call, `Resizing ${draft}`)
    const tree = this.#store.draft(draft)
    this.#projects.of(tree).limitTo(copiedBytes(tree) + bytes)
  }

  async commit(draft: DraftId, as: SnapshotId, options?: CallOptions): Promise<void> {
    const made = this.#projects.inUse ? this.#store.find(draft) : null
    await this.#store.commit(
      draft,
      as,
      async () => {
        await this.#context.host.run('sync', ['-f', this.#context.directory], { ...options, timeoutMs: 3_600_000 })
      },
      options,
    )
    this.#projects.free(made)
  }

  async remove(id: DraftId | SnapshotId, call?: CallOptions): Promise<void> {
    throwIfAborted(call, `Removing ${id}`)
    const removed = this.#projects.inUse ? this.#store.find(id) : null
    this.#store.remove(id)
    this.#projects.free(removed)
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
      facts: { 'Project Quota': String(this.#projects.state.enforced) },
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

  async #fill(
    directory: string,
    below: StoredTree | null,
    project: TreeProject | null,
    options: PrepareOptions | undefined,
  ): Promise<void> {
    const tree = join(directory, 'tree')
    if (project || !below) makeRoot(directory)
    project?.assign(tree)
    if (below) await copyTree(this.#context.host, treeOf(below), tree, options)
    if (!project || options?.quotaBytes === undefined) return
    // The copy is charged as well, and is not what the caller wants limited.
    const copied = project.used()
    writeFileSync(join(directory, copiedName), String(copied), { mode: 0o600 })
    project.limitTo(copied + options.quotaBytes)
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

/** Beside the tree of a draft with a size limit: how much of it is the parent's copy, in bytes. */
const copiedName = 'copied-bytes'
const copiedBytes = (tree: StoredTree): number => Number(readFileSync(join(tree.directory, copiedName), 'utf8'))

const treeOf = (tree: StoredTree): string => join(tree.directory, 'tree')

const infoOf = ({ id, kind, parent, createdAt }: StoredTree): SnapshotInfo => ({ id, kind, parent, createdAt })

function makeRoot(directory: string): void {
  const tree = join(directory, 'tree')
  mkdirSync(tree, { mode: 0o755 })
  // Whatever the umask of the process is.
  chmodSync(tree, 0o755)
}
