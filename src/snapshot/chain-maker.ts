import { randomBytes } from 'node:crypto'
import type { DraftId, SnapshotId } from '../driver-kit/ids.ts'
import type { StorageDriver } from '../driver-kit/storage-driver.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { withRollback } from '../lifetime/scope.ts'
import type { ChainLocks } from './chain-locks.ts'
import type { SnapshotRecords } from './snapshot-records.ts'
import type { ApplyLayer, ChainLayer, EnsureChainOptions } from './snapshot-service.ts'

/** Makes the missing links of chains, each once. */
export class ChainMaker {
  readonly #driver: StorageDriver
  readonly #records: SnapshotRecords
  readonly #locks: ChainLocks
  readonly #owner: string
  /** Drafts whose trees are gone and whose rows could not be deleted. */
  readonly #leftRows = new Set<string>()

  constructor(parts: { driver: StorageDriver; records: SnapshotRecords; locks: ChainLocks; owner: string }) {
    this.#driver = parts.driver
    this.#records = parts.records
    this.#locks = parts.locks
    this.#owner = parts.owner
  }

  async ensure(layers: readonly ChainLayer[], apply: ApplyLayer, options: EnsureChainOptions = {}): Promise<void> {
    this.#dropLeftRows()
    for (const [index, { chainId }] of layers.entries()) {
      throwIfAborted(options, 'Unpacking layers')
      if (this.#records.claimSnapshot(chainId, options.lease)) continue
      const parent = layers[index - 1]?.chainId ?? null
      const lock = await this.#locks.wait(chainId, options)
      try {
        // Another process may have made it while we waited, or one that died had committed it and not yet recorded it.
        if (this.#records.claimSnapshot(chainId, options.lease)) continue
        if (await this.#isCommitted(chainId, parent, options))
          this.#records.addSnapshot(chainId, parent, options.lease, null)
        else await this.#make(index, chainId, parent, apply, options)
      } finally {
        lock[Symbol.dispose]()
      }
    }
  }

  async #isCommitted(id: string, parent: string | null, call: CallOptions): Promise<boolean> {
    try {
      const info = await this.#driver.stat(toSnapshot(id), call)
      return info.kind === 'snapshot' && info.parent === parent
    } catch (error) {
      if (isEngineError(error, { kind: 'not_found' })) return false
      throw error
    }
  }

  /** On a disk that is full its row stays for now: the tree is gone, and the next call or the next open drops the row. */
  #forgetDraft(id: string): void {
    try {
      this.#records.deleteDraft(id, 'process')
    } catch (error) {
      if (!isEngineError(error, { code: 'state.full' })) throw error
      this.#leftRows.add(id)
    }
  }

  #dropLeftRows(): void {
    for (const id of this.#leftRows) {
      this.#records.deleteDraft(id, 'process')
      this.#leftRows.delete(id)
    }
  }

  #make(
    index: number,
    chainId: string,
    parent: string | null,
    apply: ApplyLayer,
    options: EnsureChainOptions,
  ): Promise<void> {
    const { signal, lease } = options
    const id = `layer-${randomBytes(8).toString('hex')}`
    return withRollback(async (rollback) => {
      this.#records.addDraft({ id, kind: 'layer', parent, owner: this.#owner }, 'process')
      rollback.defer(async () => {
        await this.#driver.remove(toDraft(id))
        this.#forgetDraft(id)
      })
      const below = parent === null ? null : toSnapshot(parent)
      const mounts = await this.#driver.prepare(toDraft(id), below, { signal, volatile: true })
      await apply(index, mounts, signal)
      await this.#driver.commit(toDraft(id), toSnapshot(chainId), { signal })
      // Records that cannot grow must not leave it on a disk that is full.
      rollback.defer(() => this.#driver.remove(toSnapshot(chainId)))
      this.#records.addSnapshot(chainId, parent, lease, id)
    })
  }
}

/** Chain ids name snapshots; container ids and our own made-up ones name drafts. */
export const toSnapshot = (id: string): SnapshotId => id as SnapshotId
export const toDraft = (id: string): DraftId => id as DraftId
