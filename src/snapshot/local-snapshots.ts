import { randomBytes } from 'node:crypto'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { SnapshotInfo, StorageCapabilities, StorageDriver } from '../driver-kit/storage-driver.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { withRollback } from '../lifetime/scope.ts'
import type { Digest } from '../oci/digest.ts'
import type { Database } from '../state/database.ts'
import type { RootPaths } from '../state/paths.ts'
import { ChainLocks } from './chain-locks.ts'
import { ChainMaker, toDraft, toSnapshot } from './chain-maker.ts'
import { checkStorage } from './check-storage.ts'
import { childrenFirst, SnapshotCollector } from './snapshot-collector.ts'
import { SnapshotRecords } from './snapshot-records.ts'
import type {
  ApplyLayer,
  ChainLayer,
  CheckStorageOptions,
  CreateDraftOptions,
  EnsureChainOptions,
  SnapshotService,
  SnapshotView,
  StorageProblem,
} from './snapshot-service.ts'

export interface LocalSnapshotsOptions {
  /** Behind a `StorageGuard`. */
  readonly driver: StorageDriver
  readonly facts: Readonly<Record<string, string>>
  readonly db: Database
  readonly paths: RootPaths
  readonly owner: string
  readonly diagnostics: DiagnosticsSink
}

/** Snapshots on a driver of this machine, recorded in the data root. */
export class LocalSnapshots implements SnapshotService {
  readonly driver: string
  readonly facts: Readonly<Record<string, string>>
  readonly capabilities: StorageCapabilities
  readonly #driver: StorageDriver
  readonly #records: SnapshotRecords
  readonly #chains: ChainMaker
  readonly #collector: SnapshotCollector

  constructor(options: LocalSnapshotsOptions) {
    const { driver, owner, diagnostics } = options
    this.driver = driver.name
    this.facts = options.facts
    this.capabilities = driver.capabilities
    this.#driver = driver
    const records = new SnapshotRecords(options.db, driver.name)
    const locks = new ChainLocks(options.paths)
    this.#records = records
    this.#chains = new ChainMaker({ driver, records, locks, owner })
    this.#collector = new SnapshotCollector({ driver, records, locks, diagnostics })
  }

  hasChain(chainId: Digest): boolean {
    return this.#records.hasSnapshot(chainId)
  }

  ensureChain(layers: readonly ChainLayer[], apply: ApplyLayer, options?: EnsureChainOptions): Promise<void> {
    return this.#chains.ensure(layers, apply, options)
  }

  async createDraft(id: string, parent: Digest | null, options: CreateDraftOptions) {
    const { kind, owner, signal, quotaBytes, durable = false } = options
    throwIfAborted(options, `Making the root of ${id}`)
    return withRollback(async (rollback) => {
      const durability = durable ? 'durable' : 'process'
      this.#records.addDraft({ id, kind, parent, owner }, durability)
      rollback.defer(async () => {
        await this.#driver.remove(toDraft(id))
        this.#records.deleteDraft(id, durability)
      })
      const below = parent === null ? null : toSnapshot(parent)
      return kind === 'view'
        ? await this.#driver.view(toDraft(id), below, { signal })
        : await this.#driver.prepare(toDraft(id), below, { signal, quotaBytes, volatile: !durable })
    })
  }

  draftMounts(id: string, call?: CallOptions) {
    return this.#driver.mounts(toDraft(id), call)
  }

  async removeDraft(id: string, options?: CallOptions & { readonly durable?: boolean | undefined }): Promise<void> {
    await this.#driver.remove(toDraft(id), { signal: options?.signal })
    this.#records.deleteDraft(id, options?.durable ? 'durable' : 'process')
  }

  async view(chainId: Digest | null, options: CallOptions & { readonly owner: string }): Promise<SnapshotView> {
    const id = toDraft(`view-${randomBytes(8).toString('hex')}`)
    const mounts = await this.createDraft(id, chainId, { ...options, kind: 'view' })
    let removal: Promise<void> | null = null
    return {
      id,
      mounts,
      [Symbol.asyncDispose]: () => {
        removal ??= this.removeDraft(id)
        return removal
      },
    }
  }

  async changes(draft: string, call?: CallOptions) {
    return this.capabilities.changeHint && this.#driver.changes ? this.#driver.changes(toDraft(draft), call) : null
  }

  usage(id: string, call?: CallOptions) {
    return this.#driver.usage(toDraft(id), call)
  }

  health(call?: CallOptions) {
    return this.#driver.health(call)
  }

  async removeUnused(keep: ReadonlySet<string>, call?: CallOptions): Promise<readonly string[]> {
    const removed = await this.#collector.removeUnused(keep, call)
    await this.#collector.removeUnrecorded(call)
    return removed
  }

  removeIfUnused(ids: readonly string[], call?: CallOptions) {
    return this.#collector.removeIfUnused(ids, call)
  }

  async sweep(deadOwners: readonly string[], call?: CallOptions): Promise<readonly string[]> {
    const orphans = this.#records.orphanedDrafts(new Set(deadOwners))
    for (const { id } of orphans) {
      throwIfAborted(call, 'Sweeping drafts')
      await this.removeDraft(id, call)
    }
    // One of them may have been committed and not yet recorded.
    if (orphans.some(({ kind }) => kind === 'layer')) await this.#collector.removeUnrecorded(call)
    return orphans.map(({ id }) => id)
  }

  check(options: CheckStorageOptions = {}): Promise<readonly StorageProblem[]> {
    return checkStorage({ driver: this.#driver, records: this.#records, collector: this.#collector }, options)
  }

  async reset(call?: CallOptions): Promise<void> {
    const trees: SnapshotInfo[] = []
    for await (const info of this.#driver.list(call)) trees.push(info)
    for (const { id, kind } of childrenFirst(trees)) {
      throwIfAborted(call, 'Removing all trees')
      await this.#driver.remove(id)
      if (kind === 'snapshot') this.#records.deleteSnapshot(id)
      else this.#records.deleteDraft(id, 'process')
    }
    for (const { id } of this.#records.drafts()) this.#records.deleteDraft(id, 'process')
    for (const { id } of this.#records.snapshots()) this.#records.deleteSnapshot(id)
    await this.#driver.reclaim?.(call)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#driver[Symbol.asyncDispose]()
    } catch (error) {
      if (!isEngineError(error, { code: 'call.disposed' })) throw error
    }
  }
}
