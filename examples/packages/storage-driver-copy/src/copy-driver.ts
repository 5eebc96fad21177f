import { chmod, mkdir } from 'node:fs/promises'
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
import type { CopyOptions } from './definition.ts'

/** Version of what lies below the driver's directory: a `TreeStore`, each tree with its files in `files/`. */
const formatVersion = 1

/** Large images take their time: ten minutes for a program instead of the usual one. */
const patience = { timeoutMs: 600_000 }

const filesOf = (tree: StoredTree): string => join(tree.directory, 'files')
const infoOf = ({ id, kind, parent, createdAt }: StoredTree): SnapshotInfo => ({ id, kind, parent, createdAt })

/** Every tree is a whole copy of its parent, made by cp. */
export class CopyDriver implements StorageDriver {
  readonly name = 'copy'
  readonly capabilities: StorageCapabilities = {
    maxDepth: 1000,
    quota: false,
    idMap: false,
    cloneDraft: false,
    changeHint: true,
  }

  readonly #context: DriverContext
  readonly #options: CopyOptions
  readonly #store: TreeStore

  private constructor(context: DriverContext, options: CopyOptions, store: TreeStore) {
    this.#context = context
    this.#options = options
    this.#store = store
  }

  static async open(context: DriverContext, options: CopyOptions, call?: CallOptions): Promise<CopyDriver> {
    const store = await TreeStore.open(context, { driver: 'copy', version: formatVersion }, call)
    return new CopyDriver(context, options, store)
  }

  async prepare(draft: DraftId, parent: SnapshotId | null, options?: PrepareOptions): Promise<readonly MountSpec[]> {
    if (options?.quotaBytes !== undefined)
      throw storageErrors.error('unsupported', {
        message: `The storage driver copy cannot limit the size of ${draft}. Leave the limit out.`,
        subject: { type: 'draft', id: draft },
      })
    return this.#create(draft, parent, 'draft', options)
  }

  view(draft: DraftId, parent: SnapshotId | null, options?: CallOptions): Promise<readonly MountSpec[]> {
    return this.#create(draft, parent, 'view', options)
  }

  async mounts(draft: DraftId, call?: CallOptions): Promise<readonly MountSpec[]> {
    throwIfAborted(call, `Reading the mounts of ${draft}`)
    return this.#mountsOf(this.#store.draft(draft))
  }

  async changes(draft: DraftId, call?: CallOptions): Promise<ChangeHint> {
    throwIfAborted(call, `Reading the changes of ${draft}`)
    const tree = this.#store.draft(draft)
    const parent = tree.parent === null ? null : filesOf(this.#store.snapshot(tree.parent))
    return { format: 'trees', directory: filesOf(tree), parent }
  }

  async commit(draft: DraftId, as: SnapshotId, options?: CallOptions): Promise<void> {
    const settle = async () => {
      await this.#context.host.run('sync', ['-f', this.#context.directory], { ...options, ...patience })
    }
    await this.#store.commit(draft, as, settle, options)
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
    return treeUsage(filesOf(this.#store.get(id)), call)
  }

  async *list(call?: CallOptions): AsyncGenerator<SnapshotInfo> {
    for (const tree of this.#store.list()) {
      throwIfAborted(call, 'Listing snapshots')
      yield infoOf(tree)
    }
  }

  async health(call?: CallOptions): Promise<StorageHealth> {
    throwIfAborted(call, 'Checking storage')
    this.#store.checkOpen()
    return { state: 'good', messages: [], facts: { reflink: this.#options.reflink } }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#store[Symbol.asyncDispose]()
  }

  #mountsOf(tree: StoredTree): readonly MountSpec[] {
    return [{ type: 'bind', source: filesOf(tree), options: ['rbind', tree.kind === 'view' ? 'ro' : 'rw'] }]
  }

  async #create(id: DraftId, parentId: SnapshotId | null, kind: 'draft' | 'view', call?: CallOptions) {
    const parent = parentId === null ? null : this.#store.snapshot(parentId)
    const make = async (directory: string) => {
      const files = join(directory, 'files')
      if (parent) {
        const args = ['--archive', `--reflink=${this.#options.reflink}`, '--', filesOf(parent), files]
        await this.#context.host.run('cp', args, { ...call, ...patience })
      } else {
        await mkdir(files)
        // Whatever the umask of the process is.
        await chmod(files, 0o755)
      }
    }
    return this.#mountsOf(await this.#store.create({ id, parent, kind, facts: {} }, make, call))
  }
}
