import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import { join } from 'node:path'
import { callErrors } from '../errors/call-errors.ts'
import { errnoOf, fromNodeError } from '../errors/host-errors.ts'
import { storageErrors } from '../errors/storage-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { withRollback } from '../lifetime/scope.ts'
import type { DriverContext } from './context.ts'
import type { DraftId, SnapshotId } from './ids.ts'
import { Trash } from './trash.ts'
import { TreeChildren, treeNotFound } from './tree-children.ts'
import { livingInstances, registerInstance, type TreeInstance } from './tree-instance.ts'
import { checkTreeId, readTreeRecord, type StoredTree, type TreeFacts, writeTreeRecord } from './tree-record.ts'

export type { StoredTree, TreeFacts } from './tree-record.ts'

/** Whose trees these are. */
export interface TreeStoreOptions {
  /** Name of the driver whose format this is. */
  readonly driver: string
  /** Version of its format; directories of a newer one are refused. */
  readonly version: number
}

type AnyId = DraftId | SnapshotId

/**
 * The bookkeeping of drivers that keep each tree in a directory of its own. All truth is in the file system, so that
 * several processes can have the same directory open:
 *
 *     format.json         driver and version
 *     drafts/<id>/        record.json and what the driver puts beside it
 *     snapshots/<id>/     the same, and children/: a link per tree that stands upon it
 *     staging/<instance>.<n>/   drafts being made; those of dead instances are swept at open
 *     trash/              trees being deleted
 *     instances/<id>      locked while the instance lives
 *
 * Every change becomes visible by one rename. Methods are atomic against SIGKILL at any instant.
 */
export class TreeStore implements AsyncDisposable {
  readonly directory: string
  readonly #context: DriverContext
  readonly #instance: TreeInstance
  readonly #trash: Trash
  readonly #children: TreeChildren
  #counter = 0
  #disposal: Promise<void> | null = null

  private constructor(context: DriverContext, instance: TreeInstance) {
    this.directory = context.directory
    this.#context = context
    this.#instance = instance
    this.#trash = new Trash(join(this.directory, 'trash'), context.host, context.diagnostics)
    this.#children = new TreeChildren(this.directory)
  }

  /** Makes the directory's layout or checks its version, and sweeps what a crash left. */
  static async open(context: DriverContext, options: TreeStoreOptions, call?: CallOptions): Promise<TreeStore> {
    throwIfAborted(call, `Opening storage driver ${options.driver}`)
    try {
      checkFormat(context.directory, options)
      for (const name of ['drafts', 'snapshots', 'staging', 'trash', 'instances'])
        mkdirSync(join(context.directory, name), { recursive: true, mode: 0o700 })
      const instance = registerInstance(join(context.directory, 'instances'), context.host)
      try {
        const store = new TreeStore(context, instance)
        store.#sweep()
        return store
      } catch (error) {
        instance[Symbol.dispose]()
        throw error
      }
    } catch (error) {
      throw fromNodeError(error)
    }
  }

  /** Id of this opening of the directory. */
  get instance(): string {
    return this.#instance.id
  }

  /** Ids of all openings that live, this one included; dead ones are forgotten. */
  instances(): ReadonlySet<string> {
    return livingInstances(join(this.directory, 'instances'), this.#context.host, this.#instance.id)
  }

  /** Null for unknown ids. */
  find(id: AnyId): StoredTree | null {
    this.checkOpen()
    checkTreeId(id)
    return this.#read('drafts', id) ?? this.#read('snapshots', id)
  }

  /** @throws `storage.not_found` */
  get(id: AnyId): StoredTree {
    const tree = this.find(id)
    if (!tree) throw treeNotFound(id)
    return tree
  }

  /** A draft or view. @throws `storage.not_found`, `storage.not_a_draft` */
  draft(id: DraftId): StoredTree {
    this.checkOpen()
    checkTreeId(id)
    const tree = this.#read('drafts', id)
    if (tree) return tree
    if (!existsSync(join(this.directory, 'snapshots', id))) throw treeNotFound(id)
    throw storageErrors.error('not_a_draft', {
      message: `${id} is a snapshot; this call takes a draft. Prepare one upon it.`,
      subject: { type: 'snapshot', id },
    })
  }

  /** @throws `storage.not_found`, `storage.not_a_snapshot` */
  snapshot(id: SnapshotId): StoredTree {
    this.checkOpen()
    checkTreeId(id)
    const tree = this.#read('snapshots', id)
    if (tree) return tree
    if (!existsSync(join(this.directory, 'drafts', id))) throw treeNotFound(id)
    throw storageErrors.error('not_a_snapshot', {
      message: `${id} is a draft, and only a snapshot can be a parent. Commit it first.`,
      subject: { type: 'draft', id },
    })
  }

  /** `make` fills the new tree's directory; the draft appears when it is done, or not at all. */
  async create(
    tree: { id: DraftId; parent: StoredTree | null; kind: 'draft' | 'view'; facts: TreeFacts },
    make: (directory: string) => void | Promise<void>,
    call?: CallOptions,
  ): Promise<StoredTree> {
    const { id, kind, facts } = tree
    this.checkOpen()
    const parent = tree.parent?.id as SnapshotId | undefined
    this.#checkFree(id)
    throwIfAborted(call, `Preparing ${id}`)
    try {
      return await withRollback(async (rollback) => {
        const name = this.#temporaryName()
        const staging = join(this.directory, 'staging', name)
        mkdirSync(staging, { mode: 0o700 })
        rollback.defer(() => void this.#trash.take(staging, name))
        const createdAt = new Date()
        writeTreeRecord(staging, {
          parent: parent ?? null,
          createdAt: createdAt.getTime(),
          ...(kind === 'view' ? { view: true } : {}),
          facts,
        })
        if (parent !== undefined) {
          this.#children.add(parent, id, `staging/${name}`)
          rollback.defer(() => this.#children.remove(parent, id))
        }
        const made = make(staging)
        if (made) {
          await made
          throwIfAborted(call, `Preparing ${id}`)
        }
        const directory = join(this.directory, 'drafts', id)
        this.#publish(staging, directory, id)
        return { id, kind, parent: parent ?? null, createdAt, facts, directory }
      })
    } catch (error) {
      throw fromNodeError(error)
    }
  }

  /** Makes a draft a snapshot. `settle` puts its files on the disk; the new name is durable when this resolves. */
  async commit(
    id: DraftId,
    as: SnapshotId,
    settle: (draft: StoredTree) => Promise<void>,
    call?: CallOptions,
  ): Promise<StoredTree> {
    const draft = this.draft(id)
    if (draft.kind !== 'draft')
      throw storageErrors.error('not_a_draft', {
        message: `${id} is a view, which cannot be committed.`,
        subject: { type: 'draft', id },
      })
    this.#checkFree(as)
    throwIfAborted(call, `Committing ${id}`)
    const { parent } = draft
    try {
      mkdirSync(join(draft.directory, 'children'), { recursive: true, mode: 0o700 })
      if (parent !== null) this.#children.add(parent, as, `drafts/${id}`)
      await settle(draft)
      throwIfAborted(call, `Committing ${id}`)
      const directory = join(this.directory, 'snapshots', as)
      this.#publish(draft.directory, directory, as)
      await syncDirectory(join(this.directory, 'snapshots'))
      if (parent !== null) this.#children.remove(parent, id)
      return { ...draft, id: as, kind: 'snapshot', directory }
    } catch (error) {
      throw fromNodeError(error)
    }
  }

  /** Deletes; false for unknown ids. Deleting the files goes on in the background. @throws `storage.has_children` */
  remove(id: AnyId): boolean {
    this.checkOpen()
    checkTreeId(id)
    try {
      for (const place of ['drafts', 'snapshots'] as const) {
        const directory = join(this.directory, place, id)
        if (!existsSync(directory)) continue
        const parent = this.#readOrNull(place, id)?.parent ?? null
        if (place === 'snapshots') this.#children.close(id as SnapshotId)
        if (!this.#trash.take(directory, this.#temporaryName())) continue
        if (parent !== null) this.#children.remove(parent, id)
        return true
      }
      return false
    } catch (error) {
      throw fromNodeError(error)
    }
  }

  /** Deletes a file or directory of the driver's own, in the background. */
  discard(path: string): void {
    this.#trash.take(path, this.#temporaryName())
  }

  /** Unreadable records are reported and passed over. */
  *list(): Iterable<StoredTree> {
    this.checkOpen()
    for (const place of ['snapshots', 'drafts'] as const)
      for (const id of readdirSync(join(this.directory, place)) as AnyId[]) {
        const tree = this.#readOrNull(place, id)
        if (tree) yield tree
      }
  }

  /** Resolves when what was removed is deleted. */
  emptyTrash(): Promise<void> {
    return this.#trash.empty()
  }

  /** Waits until what was removed is deleted. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#trash.empty().finally(() => this.#instance[Symbol.dispose]())
    return this.#disposal
  }

  /** @throws `call.disposed` */
  checkOpen(): void {
    if (this.#disposal)
      throw callErrors.error('disposed', {
        message: `The storage driver of ${this.directory} has been disposed of. Open the root again.`,
        subject: { type: 'storage', id: this.directory },
      })
  }

  #sweep(): void {
    this.#trash.sweep()
    const living = this.instances()
    for (const name of readdirSync(join(this.directory, 'staging')))
      if (!living.has(name.split('.')[0]!))
        this.#trash.take(join(this.directory, 'staging', name), this.#temporaryName())
    // Drafts are not synced: power loss may have torn a record, and then the draft is lost.
    for (const id of readdirSync(join(this.directory, 'drafts')) as DraftId[])
      if (!this.#readOrNull('drafts', id)) this.#trash.take(join(this.directory, 'drafts', id), this.#temporaryName())
    // Without the children directory its removal has begun.
    for (const id of readdirSync(join(this.directory, 'snapshots')) as SnapshotId[])
      if (!existsSync(join(this.directory, 'snapshots', id, 'children'))) this.remove(id)
  }

  #read(place: 'drafts' | 'snapshots', id: AnyId): StoredTree | null {
    return readTreeRecord(join(this.directory, place, id), id, place)
  }

  #readOrNull(place: 'drafts' | 'snapshots', id: AnyId): StoredTree | null {
    try {
      return this.#read(place, id)
    } catch (error) {
      this.#context.diagnostics({
        level: 'warning',
        source: 'storage',
        message: `The record of ${id} below ${this.directory} cannot be read.`,
        error,
        subject: id,
      })
      return null
    }
  }

  #checkFree(id: AnyId): void {
    checkTreeId(id)
    if (existsSync(join(this.directory, 'drafts', id)) || existsSync(join(this.directory, 'snapshots', id)))
      throw alreadyExists(id)
  }

  #publish(from: string, to: string, id: AnyId): void {
    try {
      renameSync(from, to)
    } catch (error) {
      if (errnoOf(error) === 'ENOTEMPTY' || errnoOf(error) === 'EEXIST') throw alreadyExists(id)
      throw error
    }
  }

  #temporaryName(): string {
    return `${this.#instance.id}.${this.#counter++}`
  }
}

const alreadyExists = (id: AnyId) =>
  storageErrors.error('already_exists', {
    message: `A draft or snapshot ${id} exists already. Use it, remove it, or take another id.`,
    subject: { type: 'snapshot', id },
  })

function checkFormat(directory: string, options: TreeStoreOptions): void {
  const file = join(directory, 'format.json')
  if (!statSync(file, { throwIfNoEntry: false })) {
    writeFileSync(`${file}.new`, JSON.stringify(options))
    renameSync(`${file}.new`, file)
    return
  }
  const found: unknown = JSON.parse(readFileSync(file, 'utf8'))
  const { driver, version } = found as Partial<TreeStoreOptions>
  if (driver !== options.driver || typeof version !== 'number' || version > options.version)
    throw storageErrors.error('newer_format', {
      message: `${directory} was written by driver ${driver} in format ${version}; this is driver ${options.driver} for format ${options.version}. Use the version that wrote it, or another root.`,
      subject: { type: 'storage', id: directory },
    })
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await openFile(path)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
