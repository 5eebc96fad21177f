import type { LogEntry, LogStream } from '../driver-kit/log-driver.ts'

/** Lines up to this many bytes are put together again; longer ones stay in pieces. */
export const maxJoinedBytes = 1 << 20

/**
 * A line put together from its pieces. It has the time and sequence number of the last of them, so that both still grow
 * from entry to entry and a reader that goes on after `sequence` misses nothing.
 */
class JoinedEntry implements LogEntry {
  readonly partial = null
  readonly stream: LogStream
  readonly time: bigint
  readonly bytes: Uint8Array
  readonly sequence: bigint
  readonly timeIsApproximate: boolean | undefined

  constructor(pieces: readonly LogEntry[]) {
    const last = pieces[pieces.length - 1]!
    this.stream = last.stream
    this.time = last.time
    this.sequence = last.sequence
    this.timeIsApproximate = pieces.some((piece) => piece.timeIsApproximate) || undefined
    this.bytes = Buffer.concat(pieces.map((piece) => piece.bytes))
  }

  get text(): string {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength).toString()
  }
}

interface OpenLine {
  readonly id: string
  pieces: LogEntry[]
  bytes: number
  /** Too long already: its pieces pass as they are. */
  passing: boolean
}

/** Puts pieces of lines together again, batch by batch; each stream apart. */
export class PartialJoiner {
  readonly #open = new Map<LogStream, OpenLine>()

  /** The batch with every finished line whole; pieces of lines that go on are kept for the next batch. */
  push(batch: readonly LogEntry[]): readonly LogEntry[] {
    if (this.#open.size === 0 && batch.every((entry) => entry.partial === null)) return batch
    const out: LogEntry[] = []
    for (const entry of batch) this.#take(entry, out)
    return out
  }

  /** At the end: lines whose newline never came. */
  flush(): readonly LogEntry[] {
    const out: LogEntry[] = []
    for (const stream of [...this.#open.keys()]) this.#close(stream, out)
    return out.sort((a, b) => (a.sequence < b.sequence ? -1 : 1))
  }

  #take(entry: LogEntry, out: LogEntry[]): void {
    const { partial, stream } = entry
    let open = this.#open.get(stream)
    if (open && open.id !== partial?.id) {
      this.#close(stream, out)
      open = undefined
    }
    if (partial === null) {
      out.push(entry)
      return
    }
    if (!open) {
      // Without its beginning a line cannot be whole.
      open = { id: partial.id, pieces: [], bytes: 0, passing: partial.ordinal !== 1 }
      this.#open.set(stream, open)
    }
    open.pieces.push(entry)
    open.bytes += entry.bytes.length
    if (open.bytes > maxJoinedBytes) open.passing = true
    if (open.passing) {
      out.push(...open.pieces)
      open.pieces = []
    }
    if (partial.last) this.#close(stream, out)
  }

  #close(stream: LogStream, out: LogEntry[]): void {
    const open = this.#open.get(stream)
    this.#open.delete(stream)
    if (open && open.pieces.length > 0) out.push(new JoinedEntry(open.pieces))
  }
}
