import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { SnapshotInfo, StorageDriver } from '../driver-kit/storage-driver.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { ChainLocks } from './chain-locks.ts'
import { toSnapshot } from './chain-maker.ts'
import type { SnapshotRecords, SnapshotRow } from './snapshot-records.ts'

/** Removes snapshots that nobody needs, safe beside processes that make chains and drafts. */
export class SnapshotCollector {
  readonly #driver: StorageDriver
  readonly #records: SnapshotRecords
  readonly #locks: ChainLocks
  readonly #report: DiagnosticsSink

  constructor(parts: {
    driver: StorageDriver
    records: SnapshotRecords
    locks: ChainLocks
    diagnostics: DiagnosticsSink
  }) {
    this.#driver = parts.driver
    this.#records = parts.records
    this.#locks = parts.locks
    this.#report = parts.diagnostics
  }

  async removeUnused(keep: ReadonlySet<string>, call?: CallOptions): Promise<readonly string[]> {
    const removed: string[] = []
    const rows = this.#records.snapshots()
    const needed = this.#needed(rows, keep)
    for (const { id } of childrenFirst(rows)) {
      throwIfAborted(call, 'Removing unused layers')
      if (needed.has(id)) continue
      if (await this.#removeRecorded(id, call)) removed.push(id)
    }
    return removed
  }

  /**
   * Removes those of the snapshots that nothing needs now; children come before their parents. `busy` are those that
   * somebody is at work on.
   */
  async removeIfUnused(
    ids: readonly string[],
    call?: CallOptions,
  ): Promise<{ readonly removed: readonly string[]; readonly busy: readonly string[] }> {
    const removed: string[] = []
    const busy: string[] = []
    for (const id of ids) {
      throwIfAborted(call, 'Removing layers')
      if (!this.#records.hasSnapshot(id)) continue
      const done = await this.#removeRecorded(id, call)
      if (done === true) removed.push(id)
      else if (done === null) busy.push(id)
    }
    return { removed, busy }
  }

  /** Removes snapshots of the driver that have no row: a crash came between commit and record, or during removal. */
  async removeUnrecorded(call?: CallOptions): Promise<readonly string[]> {
    const found: SnapshotInfo[] = []
    for await (const info of this.#driver.list(call)) if (info.kind === 'snapshot') found.push(info)
    const removed: string[] = []
    for (const { id } of childrenFirst(found)) {
      if (this.#records.hasSnapshot(id)) continue
      const lock = this.#locks.try(id)
      try {
        // Whoever holds the lock is about to record it.
        if (!lock || this.#records.hasSnapshot(id)) continue
        if (await this.#remove(id, call)) removed.push(id)
      } finally {
        lock?.[Symbol.dispose]()
      }
    }
    return removed
  }

  /** Null when somebody is at work on it, or when it could not be deleted. */
  async #removeRecorded(id: string, call: CallOptions | undefined): Promise<boolean | null> {
    const lock = this.#locks.try(id)
    if (!lock) return null
    try {
      // From here on no draft can be made upon it; a crash now leaves a tree without a row, which is found again.
      if (!this.#records.deleteSnapshotIfUnused(id)) return false
      return (await this.#remove(id, call)) || null
    } finally {
      lock[Symbol.dispose]()
    }
  }

  async #remove(id: string, call: CallOptions | undefined): Promise<boolean> {
    try {
      await this.#driver.remove(toSnapshot(id), call)
      return true
    } catch (error) {
      if (isEngineError(error, { kind: 'aborted' })) throw error
      this.#report({
        level: 'warning',
        source: 'storage',
        message: `Layer ${id} could not be removed; the next collection tries again.`,
        error,
        subject: id,
      })
      return false
    }
  }

  #needed(rows: readonly SnapshotRow[], keep: ReadonlySet<string>): ReadonlySet<string> {
    const parents = new Map(rows.map(({ id, parent }) => [id, parent]))
    const needed = new Set<string>()
    const roots = [...keep, ...this.#records.leased(), ...this.#records.drafts().map(({ parent }) => parent)]
    for (const root of roots)
      for (let id = root; id !== null && parents.has(id) && !needed.has(id); id = parents.get(id) ?? null)
        needed.add(id)
    return needed
  }
}

/** The same trees, each before its parent. */
export function childrenFirst<Tree extends { readonly id: string; readonly parent: string | null }>(
  trees: readonly Tree[],
): Tree[] {
  const byId = new Map(trees.map((tree) => [tree.id, tree]))
  const depth = (tree: Tree): number => {
    let steps = 0
    for (let at: Tree | undefined = tree; at?.parent != null && steps <= trees.length; at = byId.get(at.parent)) steps++
    return steps
  }
  return trees
    .map((tree) => ({ tree, depth: depth(tree) }))
    .sort((a, b) => b.depth - a.depth)
    .map(({ tree }) => tree)
}
