import type { LogEntry, LogQuery, LogStream } from 'tscontainer/driver-kit'
import { LineParser, type ParsedLine } from './line-parser.ts'
import type { LogFile } from './log-file.ts'
import type { Position, Positions } from './positions.ts'
import { EntryMaker, endsLine } from './stored-entry.ts'

/** Within this distance looking at every line is as fast as bisecting. */
const bisectBytes = 64 << 10
/** How far before the last n lines the beginnings of long lines are looked for. */
const lookBackBytes = 2 << 20

const nanoseconds = (time: Date | bigint): bigint =>
  typeof time === 'bigint' ? time : BigInt(time.getTime()) * 1_000_000n

/** A part of the file that a query asks for, and lines before it that belong to lines in it. */
interface Extent {
  readonly start: Position
  readonly end: number
  readonly before: readonly { readonly line: ParsedLine; readonly sequence: number }[]
}

/** Answers one query from a file whose lines up to `end` are complete. */
export class LogRead {
  readonly #file: LogFile
  readonly #positions: Positions
  readonly #query: LogQuery
  readonly #end: number
  readonly #parser = new LineParser()
  readonly #streams: ReadonlySet<LogStream>
  readonly #since: bigint | null
  readonly #until: bigint | null

  constructor(file: LogFile, positions: Positions, query: LogQuery, end: number) {
    this.#file = file
    this.#positions = positions
    this.#query = query
    this.#end = end
    this.#streams = new Set(query.streams ?? ['stdout', 'stderr'])
    this.#since = query.since === undefined ? null : nanoseconds(query.since)
    this.#until = query.until === undefined ? null : nanoseconds(query.until)
  }

  /** Entries in batches; after each batch `onPosition` learns where the next line begins. */
  async *batches(onPosition: (position: Position) => void): AsyncGenerator<LogEntry[], void, undefined> {
    const { start, end, before } = await this.#extent()
    const maker = new EntryMaker()
    let { sequence } = start
    if (before.length > 0) yield before.map((piece) => maker.make(piece.line, piece.sequence))
    for await (const lines of this.#file.forward(start.offset, end)) {
      const entries: LogEntry[] = []
      for (const line of lines) {
        sequence++
        const parsed = this.#parser.parse(line)
        if (parsed && this.#admits(parsed)) entries.push(maker.make(parsed, sequence))
      }
      if (entries.length > 0) yield entries
      const last = lines.at(-1)!
      onPosition({ offset: last.next, sequence })
    }
  }

  #admits(line: ParsedLine): boolean {
    return (
      this.#streams.has(line.stream) &&
      (this.#since === null || line.time >= this.#since) &&
      (this.#until === null || line.time <= this.#until)
    )
  }

  async #extent(): Promise<Extent> {
    const { after, tail } = this.#query
    const end = this.#until === null ? this.#end : await this.#firstAt(this.#until + 1n, 0, this.#end)
    let start = await this.#positions.ofSequence(this.#file, Number(after ?? 0n), this.#end)
    if (start.offset >= end || tail === 0) return { start: { ...start, offset: end }, end, before: [] }
    if (this.#since !== null) {
      const offset = await this.#firstAt(this.#since, start.offset, end)
      start = await this.#positions.ofOffset(this.#file, offset)
    }
    return tail === undefined ? { start, end, before: [] } : this.#tail(tail, start, end)
  }

  /** Where the first line at or after `time` begins; `end` when there is none. */
  async #firstAt(time: bigint, start: number, end: number): Promise<number> {
    let low = start
    let high = end
    while (high - low > bisectBytes) {
      const probe = await this.#lineAfter(low + Math.floor((high - low) / 2), high)
      if (!probe) break
      if (probe.time >= time) high = probe.offset
      else low = probe.next
    }
    for await (const lines of this.#file.forward(low, end))
      for (const line of lines) {
        const parsed = this.#parser.parse(line)
        if (parsed && parsed.time >= time) return line.offset
      }
    return end
  }

  /** The first readable line that begins after `offset` and before `end`. */
  async #lineAfter(offset: number, end: number): Promise<{ offset: number; next: number; time: bigint } | null> {
    // From the newline at or after `offset` on: what lies before it is the rest of a line.
    let first = true
    for await (const lines of this.#file.forward(offset, end))
      for (const line of lines) {
        if (first) {
          first = false
          continue
        }
        const parsed = this.#parser.parse(line)
        if (parsed) return { offset: line.offset, next: line.next, time: parsed.time }
      }
    return null
  }

  /** Reads backwards until `tail` lines have been seen, and the beginnings of those that come in pieces. */
  async #tail(tail: number, start: Position, end: number): Promise<Extent> {
    const pieces: { readonly line: ParsedLine; readonly offset: number }[] = []
    const seen = new Set<LogStream>()
    const settled = new Set<LogStream>()
    let cut = end
    let count = 0
    for await (const line of this.#file.backward(start.offset, end)) {
      const { offset } = line
      if (count === tail && (settled.size === this.#streams.size || cut - offset > lookBackBytes)) break
      const parsed = this.#parser.parse(line)
      if (!parsed || !this.#admits(parsed)) continue
      const { stream } = parsed
      const endOfLine = endsLine(parsed) || !seen.has(stream)
      seen.add(stream)
      if (count < tail) {
        if (endOfLine) count++
        cut = offset
      } else if (endOfLine) settled.add(stream)
      else if (!settled.has(stream)) pieces.unshift({ line: parsed, offset })
    }
    const before = []
    for (const { line, offset } of pieces)
      before.push({ line, sequence: (await this.#positions.ofOffset(this.#file, offset)).sequence + 1 })
    return { start: await this.#positions.ofOffset(this.#file, cut), end, before }
  }
}
