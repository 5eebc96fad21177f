import { mkdir } from 'node:fs/promises'
import {
  type CallOptions,
  type ChangeHint,
  callErrors,
  type DraftId,
  type DriverContext,
  KeyedLock,
  type MountSpec,
  type SnapshotId,
  type SnapshotInfo,
  type SnapshotUsage,
  type StorageCapabilities,
  type StorageDriver,
  type StorageHealth,
  throwIfAborted,
} from 'tscontainer/driver-kit'
import type { CopyOptions } from './definition.ts'
import { copyErrors } from './errors.ts'
import { TreeStore } from './tree-store.ts'

/** One lock for all changes: parents must not vanish while a copy of them is being made. */
const everything = 'all'

export class CopyDriver implements StorageDriver {
  readonly name = 'copy'
  readonly capabilities: StorageCapabilities = {
    maxDepth: 4096,
    quota: false,
    idMap: false,
    cloneDraft: false,
    changeHint: true,
  }

  readonly #context: DriverContext
  readonly #options: CopyOptions
  readonly #store: TreeStore
  readonly #lock = new KeyedLock()
  #disposed = false

  private constructor(context: DriverContext, options: CopyOptions, store: TreeStore) {
    this.#context = context
    this.#options = options
    this.#store = store
  }

  static async open(context: DriverContext, options: CopyOptions): Promise<CopyDriver> {
    return new CopyDriver(context, options, await TreeStore.open(context.directory))
  }

  prepare(draft: DraftId, parent: SnapshotId | null, options?: CallOptions): Promise<readonly MountSpec[]> {
    return this.#add('draft', draft, parent, options)
  }

  view(draft: DraftId, parent: SnapshotId | null, options?: CallOptions): Promise<readonly MountSpec[]> {
    return this.#add('view', draft, parent, options)
  }

  async mounts(draft: DraftId, call?: CallOptions): Promise<readonly MountSpec[]> {
    this.#enter(call)
    const info = await this.#store.get(draft)
    if (info.kind === 'snapshot')
      throw copyErrors.error('unknown_tree', {
        message: `"${draft}" is a snapshot, and snapshots are not mounted; prepare or view a draft on it.`,
        subject: { type: 'snapshot', id: draft },
      })
    return this.#mountsOf(info)
  }

  async changes(draft: DraftId, call?: CallOptions): Promise<ChangeHint> {
    this.#enter(call)
    const info = await this.#store.get(draft)
    const parent = info.parent === null ? null : this.#store.tree({ kind: 'snapshot', id: info.parent })
    return { format: 'trees', directory: this.#store.tree(info), parent }
  }

  async commit(draft: DraftId, as: SnapshotId, options?: CallOptions): Promise<void> {
    this.#enter(options)
    await this.#lock.run(everything, async () => {
      const info = await this.#store.get(draft)
      if (info.kind !== 'draft')
        throw copyErrors.error('not_a_draft', {
          message: `"${draft}" is a ${info.kind}; only a draft can be committed.`,
          subject: { type: 'snapshot', id: draft },
        })
      if (await this.#store.find(as))
        throw copyErrors.error('id_in_use', {
          message: `The storage driver copy has a tree "${as}" already; use another id or remove it.`,
          subject: { type: 'snapshot', id: as },
        })
      await this.#tool('sync', ['--file-system', this.#context.directory], options)
      await this.#store.promote(draft, as)
      await this.#tool('sync', ['--file-system', this.#context.directory])
    })
  }

  async remove(id: DraftId | SnapshotId, call?: CallOptions): Promise<void> {
    this.#enter(call)
    await this.#lock.run(everything, async () => {
      const info = await this.#store.find(id)
      if (!info) return
      const children: string[] = []
      for await (const other of this.#store.list()) if (other.parent === id) children.push(other.id)
      if (info.kind === 'snapshot' && children.length > 0)
        throw copyErrors.error('has_children', {
          message: `Snapshot "${id}" has children: ${children.join(', ')}. Remove them first.`,
          subject: { type: 'snapshot', id },
          details: { children },
        })
      await this.#store.delete(info)
    })
  }

  async stat(id: DraftId | SnapshotId, call?: CallOptions): Promise<SnapshotInfo> {
    this.#enter(call)
    return this.#store.get(id)
  }

  async usage(id: DraftId | SnapshotId, call?: CallOptions): Promise<SnapshotUsage> {
    this.#enter(call)
    const root = this.#store.tree(await this.#store.get(id))
    const count = async (unit: string) =>
      Number.parseInt(await this.#tool('du', ['--summarize', unit, '--', root], call), 10)
    return { bytes: await count('--block-size=1'), inodes: await count('--inodes') }
  }

  async *list(call?: CallOptions): AsyncGenerator<SnapshotInfo> {
    this.#enter(call)
    yield* this.#store.list()
  }

  async health(call?: CallOptions): Promise<StorageHealth> {
    this.#enter(call)
    return { state: 'good', messages: [], facts: { reflink: this.#options.reflink } }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
  }

  #enter(call?: CallOptions): void {
    if (this.#disposed)
      throw callErrors.error('disposed', { message: 'The storage driver copy was used after its disposal.' })
    throwIfAborted(call)
  }

  #mountsOf(info: SnapshotInfo): readonly MountSpec[] {
    const access = info.kind === 'view' ? 'ro' : 'rw'
    return [{ type: 'bind', source: this.#store.tree(info), options: ['rbind', access] }]
  }

  async #add(kind: 'draft' | 'view', id: DraftId, parent: SnapshotId | null, call?: CallOptions) {
    this.#enter(call)
    return this.#lock.run(everything, async () => {
      const below = parent === null ? null : await this.#store.get(parent)
      if (below && below.kind !== 'snapshot')
        throw copyErrors.error('unknown_tree', {
          message: `"${parent}" is a ${below.kind}; only a snapshot can be a parent.`,
          subject: { type: 'snapshot', id: below.id },
        })
      await this.#store.add(kind, id, parent, async (tree) => {
        if (below === null) await mkdir(tree, { mode: 0o755 })
        else await this.#copyTree(this.#store.tree(below), tree, call)
      })
      return this.#mountsOf(await this.#store.get(id))
    })
  }

  async #copyTree(from: string, to: string, call?: CallOptions): Promise<void> {
    await this.#tool('cp', ['--archive', `--reflink=${this.#options.reflink}`, '--', from, to], call)
  }

  async #tool(file: string, args: readonly string[], call?: CallOptions): Promise<string> {
    try {
      // A large image takes its time: ten minutes instead of the usual one.
      return (await this.#context.host.run(file, args, { ...call, timeoutMs: 600_000 })).stdout
    } catch (cause) {
      throwIfAborted(call)
      const full = cause instanceof Error && /No space left/.test(`${cause.message}${JSON.stringify(cause)}`)
      throw copyErrors.error(full ? 'full' : 'tool_failed', {
        message: `${file} ${args.join(' ')} failed${full ? ' because the disk is full' : ''}.`,
        cause,
      })
    }
  }
}
