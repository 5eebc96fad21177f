import { chmodSync, chownSync, mkdirSync, rmSync, statfsSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CallOptions,
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
  type TreeProject,
  TreeProjects,
  TreeStore,
  throwIfAborted,
  treeUsage,
} from 'tscontainer/driver-kit'
import { bindMount, fuseOverlayMount, maxDepth } from './mounts.ts'

/** Version of the format below the driver's directory: a `TreeStore`, each tree with diff/ and work/. */
const formatVersion = 1

/**
 * The layout of `overlay2`, merged by a program. Its marks of deletions differ with its version and rights, so that only
 * it reads them: there are no hints about changes.
 */
export class FuseOverlayfsDriver implements StorageDriver {
  readonly name = 'fuse-overlayfs'
  readonly capabilities: StorageCapabilities
  readonly #context: DriverContext
  readonly #store: TreeStore
  readonly #projects: TreeProjects

  private constructor(context: DriverContext, store: TreeStore, projects: TreeProjects) {
    this.#context = context
    this.#store = store
    this.#projects = projects
    this.capabilities = {
      maxDepth,
      quota: projects.state.enforced,
      ...(projects.reason === undefined ? {} : { reasons: { quota: projects.reason } }),
      idMap: false,
      cloneDraft: false,
      changeHint: false,
    }
  }

  static async open(context: DriverContext, call?: CallOptions): Promise<FuseOverlayfsDriver> {
    const store = await TreeStore.open(context, { driver: 'fuse-overlayfs', version: formatVersion }, call)
    try {
      return new FuseOverlayfsDriver(context, store, await TreeProjects.open(context, store, call))
    } catch (error) {
      await store[Symbol.asyncDispose]()
      throw error
    }
  }

  async prepare(draft: DraftId, parent: SnapshotId | null, options?: PrepareOptions): Promise<readonly MountSpec[]> {
    if (options?.quotaBytes === undefined) return this.#create(draft, parent, 'draft', null, options)
    const project = await this.#projects.claim(draft, options)
    try {
      return await this.#create(draft, parent, 'draft', { project, bytes: options.quotaBytes }, options)
    } catch (error) {
      project.release()
      throw error
    }
  }

  async view(draft: DraftId, parent: SnapshotId | null, options?: CallOptions): Promise<readonly MountSpec[]> {
    return this.#create(draft, parent, 'view', null, options)
  }

  async mounts(draft: DraftId, call?: CallOptions): Promise<readonly MountSpec[]> {
    throwIfAborted(call, `Reading the mounts of ${draft}`)
    const tree = this.#store.draft(draft)
    this.#projects.check(tree)
    return this.#mountsOf(tree)
  }

  async resize(draft: DraftId, bytes: number, call?: CallOptions): Promise<void> {
    throwIfAborted(call, `Resizing ${draft}`)
    this.#projects.of(this.#store.draft(draft)).limitTo(bytes)
  }

  async commit(draft: DraftId, as: SnapshotId, options?: CallOptions): Promise<void> {
    const made = this.#projects.inUse ? this.#store.find(draft) : null
    const settle = async () => {
      await this.#context.host.run('sync', ['-f', this.#context.directory], { ...options, timeoutMs: 3_600_000 })
    }
    const snapshot = await this.#store.commit(draft, as, settle, options)
    rmSync(join(snapshot.directory, 'work'), { recursive: true, force: true })
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
    return tree.kind === 'view' && tree.parent !== null ? { bytes: 0, inodes: 0 } : treeUsage(diffOf(tree), call)
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

  async #create(
    id: DraftId,
    parentId: SnapshotId | null,
    kind: 'draft' | 'view',
    quota: { project: TreeProject; bytes: number } | null,
    call: CallOptions | undefined,
  ): Promise<readonly MountSpec[]> {
    const parent = parentId === null ? null : this.#store.snapshot(parentId)
    const lower = parent ? [parent.id, ...lowerIds(parent)] : []
    if (lower.length > maxDepth)
      throw storageErrors.error('too_deep', {
        message: `${id} would stand on ${lower.length} snapshots, and fuse-overlayfs is given at most ${maxDepth}. Use an image with fewer layers, or storage driver vfs.`,
        subject: { type: 'draft', id },
        details: { maxDepth },
      })
    const facts = { lower, ...(quota ? { project: quota.project.id } : {}) }
    const make = (directory: string) => {
      if (kind === 'view' && parent) return
      const made = [join(directory, 'diff'), ...(parent ? [join(directory, 'work')] : [])]
      for (const path of made) {
        mkdirSync(path)
        quota?.project.assign(path)
        // Whatever the umask of the process is.
        chmodSync(path, 0o755)
      }
      if (parent) this.#copyAttributes(diffOf(parent), made[0]!)
      quota?.project.limitTo(quota.bytes)
    }
    return this.#mountsOf(await this.#store.create({ id, parent, kind, facts }, make, call))
  }

  /** The root directory of a merged tree has the attributes of the upper one. */
  #copyAttributes(from: string, to: string): void {
    const stat = statSync(from)
    if (stat.uid !== 0 || stat.gid !== 0) chownSync(to, stat.uid, stat.gid)
    chmodSync(to, stat.mode & 0o7777)
    const { xattrs } = this.#context.host
    for (const name of xattrs.list(from)) {
      if (/\.(overlay|fuseoverlayfs)\./.test(name)) continue
      const value = xattrs.get(from, name)
      if (value) xattrs.set(to, name, value)
    }
    utimesSync(to, stat.atimeMs / 1000, stat.mtimeMs / 1000)
  }

  #mountsOf(tree: StoredTree): readonly MountSpec[] {
    const lower = lowerIds(tree).map((id) => join(this.#context.directory, 'snapshots', id, 'diff'))
    const [first] = lower
    if (first === undefined) return [bindMount(diffOf(tree), tree.kind === 'view')]
    if (tree.kind !== 'view')
      return [fuseOverlayMount({ lower, upper: diffOf(tree), work: join(tree.directory, 'work') })]
    return lower.length === 1 ? [bindMount(first, true)] : [fuseOverlayMount({ lower })]
  }
}

const diffOf = (tree: StoredTree): string => join(tree.directory, 'diff')

const lowerIds = (tree: StoredTree): readonly string[] => (tree.facts as { lower?: readonly string[] }).lower ?? []

const infoOf = ({ id, kind, parent, createdAt }: StoredTree): SnapshotInfo => ({ id, kind, parent, createdAt })
