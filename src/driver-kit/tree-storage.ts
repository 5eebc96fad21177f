import { chmodSync, chownSync, statfsSync, statSync, utimesSync } from 'node:fs'
import { storageErrors } from '../errors/storage-errors.ts'
import type { MountSpec } from '../host/mount-spec.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { DriverContext } from './context.ts'
import type { DraftId, SnapshotId } from './ids.ts'
import type {
  PrepareOptions,
  SnapshotInfo,
  SnapshotUsage,
  StorageCapabilities,
  StorageDriver,
  StorageHealth,
} from './storage-driver.ts'
import type { TreeProject, TreeProjects } from './tree-projects.ts'
import type { StoredTree } from './tree-record.ts'
import type { TreeStore } from './tree-store.ts'
import { treeUsage } from './tree-usage.ts'

/** A tree that is to be made. */
export interface TreeWish {
  readonly id: DraftId
  readonly kind: 'draft' | 'view'
  readonly parent: StoredTree | null
  /** The size limit, in bytes; its project's id goes into the tree's facts as `project`. */
  readonly limit: { readonly project: TreeProject; readonly bytes: number } | null
  readonly options: PrepareOptions
}

/** Large trees take their time to reach the disk. */
const syncTimeoutMs = 3_600_000

/**
 * What storage drivers share that keep one directory for each tree in a `TreeStore`: records, size limits, removal,
 * figures. Such a driver says how a tree is made and mounted, and where its files are. Since 1.1.
 */
export abstract class TreeStorage implements StorageDriver {
  abstract readonly name: string
  abstract readonly capabilities: StorageCapabilities
  protected readonly context: DriverContext
  protected readonly store: TreeStore
  /** Null: size limits are refused. */
  protected readonly projects: TreeProjects | null

  protected constructor(context: DriverContext, store: TreeStore, projects: TreeProjects | null = null) {
    this.context = context
    this.store = store
    this.projects = projects
  }

  /** Makes the tree in the store. */
  protected abstract make(wish: TreeWish): Promise<StoredTree>
  /** What a container's root is mounted with, as data. */
  protected abstract mountsOf(tree: StoredTree): readonly MountSpec[]
  /** The directory of what a tree holds itself. */
  protected abstract filesOf(tree: StoredTree): string

  /** What `health` shows beside the size limits. Default: nothing. */
  protected facts(): Readonly<Record<string, string>> {
    return {}
  }

  /** A draft has become this snapshot. Default: nothing is done. */
  protected committed(_snapshot: StoredTree): void {}

  /** What a draft with a limit holds of its parent's, in bytes: it is charged as well. Default: 0. */
  protected copiedBytes(_draft: StoredTree): number {
    return 0
  }

  async prepare(
    draft: DraftId,
    parent: SnapshotId | null,
    options: PrepareOptions = {},
  ): Promise<readonly MountSpec[]> {
    if (options.quotaBytes === undefined) return this.#make(draft, parent, 'draft', null, options)
    const project = await this.#limits(draft).claim(draft, options)
    try {
      return await this.#make(draft, parent, 'draft', { project, bytes: options.quotaBytes }, options)
    } catch (error) {
      project.release()
      throw error
    }
  }

  async view(draft: DraftId, parent: SnapshotId | null, options: CallOptions = {}): Promise<readonly MountSpec[]> {
    return this.#make(draft, parent, 'view', null, options)
  }

  async mounts(draft: DraftId, call?: CallOptions): Promise<readonly MountSpec[]> {
    throwIfAborted(call, `Reading the mounts of ${draft}`)
    const tree = this.store.draft(draft)
    this.projects?.check(tree)
    return this.mountsOf(tree)
  }

  async resize(draft: DraftId, bytes: number, call?: CallOptions): Promise<void> {
    throwIfAborted(call, `Resizing ${draft}`)
    const tree = this.store.draft(draft)
    const project = this.#limits(draft).of(tree)
    project.limitTo(this.copiedBytes(tree) + bytes)
  }

  async commit(draft: DraftId, as: SnapshotId, options?: CallOptions): Promise<void> {
    const made = this.projects?.inUse ? this.store.find(draft) : null
    const settle = async () => {
      const { host, directory } = this.context
      await host.run('sync', ['-f', directory], { ...options, timeoutMs: syncTimeoutMs })
    }
    this.committed(await this.store.commit(draft, as, settle, options))
    this.projects?.free(made)
  }

  async remove(id: DraftId | SnapshotId, call?: CallOptions): Promise<void> {
    throwIfAborted(call, `Removing ${id}`)
    const removed = this.projects?.inUse ? this.store.find(id) : null
    this.store.remove(id)
    this.projects?.free(removed)
  }

  async stat(id: DraftId | SnapshotId, call?: CallOptions): Promise<SnapshotInfo> {
    throwIfAborted(call, `Looking at ${id}`)
    return infoOf(this.store.get(id))
  }

  async usage(id: DraftId | SnapshotId, call?: CallOptions): Promise<SnapshotUsage> {
    const tree = this.store.get(id)
    // It shows its parent's own files.
    return tree.kind === 'view' && tree.parent !== null ? { bytes: 0, inodes: 0 } : treeUsage(this.filesOf(tree), call)
  }

  async *list(call?: CallOptions): AsyncIterable<SnapshotInfo> {
    for (const tree of this.store.list()) {
      throwIfAborted(call, 'Listing snapshots')
      yield infoOf(tree)
    }
  }

  async health(call?: CallOptions): Promise<StorageHealth> {
    throwIfAborted(call, 'Checking storage')
    this.store.checkOpen()
    const { directory } = this.context
    const full = isNearlyFull(directory)
    return {
      state: full ? 'degraded' : 'good',
      messages: full ? [`The disk of ${directory} is nearly full. Remove images or containers.`] : [],
      facts: { ...this.facts(), 'Project Quota': String(this.projects?.state.enforced ?? false) },
    }
  }

  async reclaim(call?: CallOptions): Promise<{ readonly freedBytes: number | null }> {
    throwIfAborted(call, 'Reclaiming space')
    this.store.checkOpen()
    await this.store.emptyTrash()
    return { freedBytes: null }
  }

  /** Closes the store. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.store[Symbol.asyncDispose]()
  }

  #limits(draft: DraftId): TreeProjects {
    if (this.projects) return this.projects
    throw storageErrors.error('unsupported', {
      message: `The storage driver ${this.name} cannot limit the size of ${draft}. Leave the limit out.`,
      subject: { type: 'draft', id: draft },
    })
  }

  async #make(
    id: DraftId,
    parent: SnapshotId | null,
    kind: 'draft' | 'view',
    limit: TreeWish['limit'],
    options: PrepareOptions,
  ): Promise<readonly MountSpec[]> {
    const below = parent === null ? null : this.store.snapshot(parent)
    return this.mountsOf(await this.make({ id, kind, parent: below, limit, options }))
  }
}

const infoOf = ({ id, kind, parent, createdAt }: StoredTree): SnapshotInfo => ({ id, kind, parent, createdAt })

/** Less than a fiftieth of the file system is free. */
export function isNearlyFull(directory: string): boolean {
  const { bavail, blocks } = statfsSync(directory)
  return blocks > 0 && bavail < blocks / 50
}

/**
 * Gives one directory the owner, mode, times and attributes of another, without those whose names match `except`: in an
 * overlay the root has those of the upper directory.
 */
export function copyDirectoryFacts({ host }: DriverContext, from: string, to: string, except: RegExp): void {
  const facts = statSync(from)
  if (facts.uid !== 0 || facts.gid !== 0) chownSync(to, facts.uid, facts.gid)
  chmodSync(to, facts.mode & 0o7777)
  for (const name of host.xattrs.list(from)) {
    if (except.test(name)) continue
    const value = host.xattrs.get(from, name)
    if (value) host.xattrs.set(to, name, value)
  }
  utimesSync(to, facts.atimeMs / 1000, facts.mtimeMs / 1000)
}
