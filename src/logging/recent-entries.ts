import type { ChunkEntry } from './chunk-entry.ts'

/** Entries that came together. */
export interface EntryBatch {
  readonly entries: readonly ChunkEntry[]
  /** Sequence numbers of the first and last. */
  readonly first: number
  readonly last: number
  /** What they take in memory, roughly. */
  readonly bytes: number
}

/**
 * The newest entries: all that are not stored yet, and before those as many as followers may need to keep up without
 * reading the stored log.
 */
export class RecentEntries {
  #batches: EntryBatch[] = []
  #bytes = 0
  /** Sequence number up to which the sink has accepted entries. */
  #stored: number

  constructor(stored: number) {
    this.#stored = stored
  }

  get stored(): number {
    return this.#stored
  }

  /** The newest entry's sequence number, or that of the newest stored one. */
  get last(): number {
    return this.#batches.at(-1)?.last ?? this.#stored
  }

  add(batch: EntryBatch): void {
    this.#batches.push(batch)
    this.#bytes += batch.bytes
  }

  markStored(sequence: number): void {
    this.#stored = sequence
  }

  /** Forgets the oldest stored batches until at most `keepBytes` are held. */
  evict(keepBytes: number): void {
    let count = 0
    for (const batch of this.#batches) {
      if (batch.last > this.#stored || this.#bytes <= keepBytes) break
      this.#bytes -= batch.bytes
      count++
    }
    if (count > 0) this.#batches.splice(0, count)
  }

  /** Entries from `next` on as far as one batch goes; null when they are not held: stored, or yet to come. */
  from(next: number): readonly ChunkEntry[] | null {
    const batches = this.#batches
    const first = batches[0]
    if (!first || next < first.first || next > this.last) return null
    let low = 0
    let high = batches.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (batches[middle]!.last < next) low = middle + 1
      else high = middle
    }
    const batch = batches[low]!
    return next === batch.first ? batch.entries : batch.entries.slice(next - batch.first)
  }

  get firstHeld(): number | null {
    return this.#batches[0]?.first ?? null
  }
}
