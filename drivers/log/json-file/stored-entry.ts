import type { LogEntry, LogStream, PartialMark } from 'tscontainer/driver-kit'
import type { ParsedLine } from './line-parser.ts'

/** Output is cut into pieces of this size at least; a shorter one without newline is the end of a program's output. */
const pieceBytes = 16384

/** An entry read from the file. */
class StoredEntry implements LogEntry {
  readonly stream: LogStream
  readonly time: bigint
  readonly partial: PartialMark | null
  readonly timeIsApproximate: boolean | undefined
  readonly #bytes: Buffer
  readonly #number: number

  constructor(line: ParsedLine, number: number, partial: PartialMark | null) {
    this.stream = line.stream
    this.time = line.time
    this.partial = partial
    this.timeIsApproximate = line.approximate || undefined
    this.#bytes = line.bytes
    this.#number = number
  }

  get bytes(): Uint8Array {
    return this.#bytes
  }

  get text(): string {
    return this.#bytes.toString()
  }

  get sequence(): bigint {
    return BigInt(this.#number)
  }
}

/** Turns lines of the file into entries: the format does not say which pieces belong together, but their order does. */
export class EntryMaker {
  readonly #open: Record<LogStream, PartialMark | null> = { stdout: null, stderr: null }

  make(line: ParsedLine, number: number): LogEntry {
    const before = this.#open[line.stream]
    if (line.whole && !before) return new StoredEntry(line, number, null)
    const partial = { id: before?.id ?? String(number), ordinal: (before?.ordinal ?? 0) + 1, last: line.whole }
    this.#open[line.stream] = line.whole || line.bytes.length < pieceBytes ? null : partial
    return new StoredEntry(line, number, partial)
  }
}

/** True when no piece of the same line follows this one. */
export const endsLine = (line: ParsedLine): boolean => line.whole || line.bytes.length < pieceBytes
