import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CallOptions,
  type ChangeHint,
  type DraftId,
  type DriverContext,
  fromNodeError,
  type IdMap,
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
import { checkIdMap } from './check-id-map.ts'
import { bindMount, kernelMaxDepth, type OverlaySupport, overlayMount } from './mount-options.ts'
import type { Overlay2Options } from './options.ts'
import { isNearlyFull } from './probe.ts'
import { findSupport } from './support.ts'
import { backingFilesystem } from './trial.ts'

/** Version of the format below the driver's directory: a `TreeStore`, each tree with diff/ and work/. */
const formatVersion = 1

/**
 * Each tree keeps its own changes in `diff`; the kernel's overlay shows them upon those of its parents. A tree without
 * a parent is its `diff` alone and is bind-mounted.
 */
export class Overlay2Driver implements StorageDriver {
  readonly name = 'overlay2'
  readonly capabilities: StorageCapabilities
  readonly #context: DriverContext
  readonly #support: OverlaySupport
  readonly #store: TreeStore
  readonly #projects: TreeProjects

  private constructor(context: DriverContext, support: OverlaySupport, store: TreeStore, projects: TreeProjects) {
    this.#context = context
    this.#support = support
    this.#store = store
    this.#projects = projects
    this.capabilities = {
      maxDepth: kernelMaxDepth,
      quota: projects.state.enforced,
      reasons: {
        ...(projects.reason === undefined ? {} : { quota: projects.reason }),
        ...(support.idMap === true ? {} : { idMap: support.idMap.lacking }),
      },
      idMap: support.idMap === true,
      cloneDraft: false,
      changeHint: true,
    }
  }

  static async open(context: DriverContext, options: Overlay2Options, call?: CallOptions): Promise<Overlay2Driver> {
    const support = await findSupport(context, options, call)
    const store = await TreeStore.open(context, { driver: 'overlay2', version: formatVersion }, call)
    try {
      const driver = new Overlay2Driver(context, support, store, await TreeProjects.open(context, store, call))
      driver.#sweepTrials()
      return driver
    } catch (error) {
      await store[Symbol.asyncDispose]()
      throw fromNodeError(error)
    }
  }

  async prepare(draft: DraftId, parent: SnapshotId | null, options?: PrepareOptions): Promise<readonly MountSpec[]> {
    const volatile = options?.volatile ?? false
    const idMap = options?.idMap
    if (idMap) this.#checkShift(draft, idMap)
    if (options?.quotaBytes === undefined) return this.#create(draft, parent, 'draft', { volatile, idMap }, options)
    const project = await this.#projects.claim(draft, options)
    try {
      const quota = { project, bytes: options.quotaBytes }
      return await this.#create(draft, parent, 'draft', { volatile, idMap, quota }, options)
    } catch (error) {
      project.release()
      throw error
    }
  }

  async view(draft: DraftId, parent: SnapshotId | null, options?: CallOptions): Promise<readonly MountSpec[]> {
    return this.#create(draft, parent, 'view', {}, options)
  }

  async mounts(draft: DraftId, call?: CallOptions): Promise<readonly MountSpec[]> {
    throwIfAborted(call, `Reading the mounts of ${draft}`)
    const tree = this.#store.draft(draft)
    this.#projects.check(tree)
    // A volatile mount leaves a mark that keeps the kernel from mounting the same directories again.
    if (tree.facts['volatile'] === true)
      rmSync(join(tree.directory, 'work/work/incompat'), { recursive: true, force: true })
    return this.#mountsOf(tree)
  }

  async changes(draft: DraftId, call?: CallOptions): Promise<ChangeHint> {
    throwIfAborted(call, `Reading the changes of ${draft}`)
    const tree = this.#store.draft(draft)
    return {
      format: 'overlay',
      directory: join(tree.directory, 'diff'),
      lower: this.#lowerOf(tree),
      xattrPrefix: this.#support.xattrPrefix,
    }
  }

  async resize(draft: DraftId, bytes: number, call?: CallOptions): Promise<void> {
    throwIfAborted(call, `Resizing ${draft}`)
    this.#projects.of(this.#store.draft(draft)).limitTo(bytes)
  }

  async commit(draft: DraftId, as: SnapshotId, options?: CallOptions): Promise<void> {
    const made = this.#projects.inUse ? this.#store.find(draft) : null
    const snapshot = await this.#store.commit(
      draft,
      as,
      async () => {
        await this.#context.host.run('sync', ['-f', this.#context.directory], { ...options, timeoutMs: 3_600_000 })
      },
      options,
    )
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
    return treeUsage(join(this.#store.get(id).directory, 'diff'), call)
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
    const full = isNearlyFull(this.#context.directory)
    return {
      state: full ? 'degraded' : 'good',
      messages: full ? [`The disk of ${this.#context.directory} is nearly full. Remove images or containers.`] : [],
      facts: {
        'Backing Filesystem': backingFilesystem(this.#context.directory),
        'Supports d_type': 'true',
        'Using metacopy': 'false',
        'Native Overlay Diff': 'true',
        userxattr: String(this.#support.xattrPrefix === 'user.overlay.'),
        volatile: String(this.#support.volatile),
        'Project Quota': String(this.#projects.state.enforced),
      },
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
    wish: { volatile?: boolean; idMap?: IdMap | undefined; quota?: { project: TreeProject; bytes: number } },
    call: CallOptions | undefined,
  ): Promise<readonly MountSpec[]> {
    const parent = parentId === null ? null : this.#store.snapshot(parentId)
    const lower = parent ? [parent.id, ...lowerIds(parent)] : []
    if (lower.length > kernelMaxDepth)
      throw storageErrors.error('too_deep', {
        message: `${id} would stand on ${lower.length} snapshots, and overlay mounts at most ${kernelMaxDepth}. Use an image with fewer layers, or storage driver vfs.`,
        subject: { type: 'draft', id },
        details: { maxDepth: kernelMaxDepth },
      })
    const { quota } = wish
    const facts = {
      lower,
      ...(wish.volatile && parent ? { volatile: true } : {}),
      ...(quota ? { project: quota.project.id } : {}),
      ...(wish.idMap ? { idMap: wish.idMap } : {}),
    }
    const tree = await this.#store.create(
      { id, parent, kind, facts },
      (directory) => {
        if (kind === 'view' && parent) return
        const diff = join(directory, 'diff')
        mkdirSync(diff, { mode: 0o755 })
        quota?.project.assign(diff)
        // Whatever the umask of the process is.
        if (!parent) chmodSync(diff, 0o755)
        else {
          mkdirSync(join(directory, 'work'), { mode: 0o700 })
          // Copies upwards are made there and then moved, which only works within one project.
          quota?.project.assign(join(directory, 'work'))
          this.#copyAttributes(join(parent.directory, 'diff'), diff)
        }
        quota?.project.limitTo(quota.bytes)
      },
      call,
    )
    return this.#mountsOf(tree)
  }

  /** The root directory of a merged tree has the attributes of the upper one. */
  #copyAttributes(from: string, to: string): void {
    const stat = statSync(from)
    if (stat.uid !== 0 || stat.gid !== 0) chownSync(to, stat.uid, stat.gid)
    chmodSync(to, stat.mode & 0o7777)
    for (const name of this.#context.host.xattrs.list(from)) {
      if (/^(trusted|user)\.overlay\./.test(name)) continue
      const value = this.#context.host.xattrs.get(from, name)
      if (value) this.#context.host.xattrs.set(to, name, value)
    }
    utimesSync(to, stat.atimeMs / 1000, stat.mtimeMs / 1000)
  }

  /** The parents' directories, topmost first. */
  #lowerOf(tree: StoredTree): readonly string[] {
    return lowerIds(tree).map((id) => join(this.#context.directory, 'snapshots', id, 'diff'))
  }

  /** Trials of processes that were killed; those of living ones take milliseconds. */
  #sweepTrials(): void {
    for (const name of readdirSync(this.#context.directory)) {
      const path = join(this.#context.directory, name)
      const made = name.startsWith('probe-') ? statSync(path, { throwIfNoEntry: false }) : undefined
      if (made && Date.now() - made.mtimeMs > 60_000) this.#store.discard(path)
    }
  }

  #checkShift(draft: DraftId, map: IdMap): void {
    if (this.#support.idMap !== true)
      throw storageErrors.error('unsupported', {
        message: `The owners of ${draft} cannot be shifted here: ${this.#support.idMap.lacking}. Use Linux 5.19 or newer and a file system with id-mapped mounts, or leave idMap out.`,
        subject: { type: 'draft', id: draft },
      })
    checkIdMap(draft, map)
  }

  #mountsOf(tree: StoredTree): readonly MountSpec[] {
    const { idMap } = tree.facts as { idMap?: IdMap }
    const mounts = this.#plainMountsOf(tree)
    return idMap ? mounts.map((spec) => ({ ...spec, shift: { ...idMap, within: this.#context.directory } })) : mounts
  }

  #plainMountsOf(tree: StoredTree): readonly MountSpec[] {
    const lower = this.#lowerOf(tree)
    const diff = join(tree.directory, 'diff')
    if (lower.length === 0) return [bindMount(diff, tree.kind === 'view')]
    if (tree.kind !== 'view')
      return [
        overlayMount(this.#support, {
          lower,
          upper: diff,
          work: join(tree.directory, 'work'),
          volatile: tree.facts['volatile'] === true,
        }),
      ]
    return lower.length === 1 ? [bindMount(lower[0]!, true)] : [overlayMount(this.#support, { lower })]
  }
}

const lowerIds = (tree: StoredTree): readonly string[] => (tree.facts as { lower?: readonly string[] }).lower ?? []

const infoOf = ({ id, kind, parent, createdAt }: StoredTree): SnapshotInfo => ({ id, kind, parent, createdAt })
