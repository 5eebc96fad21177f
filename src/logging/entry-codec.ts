import type { LogEntry, LogStream, PartialMark } from '../driver-kit/log-driver.ts'
import { loggingErrors } from '../errors/logging-errors.ts'

// A batch: version (1 byte), number of entries (4, little endian), then per entry: flags (1), length of the bytes (4),
// time (8), sequence (8), when partial also ordinal (4), length of the id (1) and the id; then the bytes.
const version = 1
const flag = { stderr: 1, partial: 2, last: 4, approximate: 8 } as const
const headBytes = 5
const entryHeadBytes = 21

/** A batch of entries as bytes, for other processes. Keep batches below some MiB: the reader wants the whole of one. */
export function encodeEntries(batch: readonly LogEntry[]): Buffer {
  let size = headBytes
  for (const { bytes, partial } of batch)
    size += entryHeadBytes + bytes.length + (partial ? 5 + Buffer.byteLength(partial.id) : 0)
  const out = Buffer.allocUnsafe(size)
  out[0] = version
  out.writeUInt32LE(batch.length, 1)
  let at = headBytes
  for (const entry of batch) at = writeEntry(out, at, entry)
  return out
}

function writeEntry(out: Buffer, start: number, entry: LogEntry): number {
  const { bytes, partial } = entry
  out[start] =
    (entry.stream === 'stderr' ? flag.stderr : 0) |
    (partial ? flag.partial : 0) |
    (partial?.last ? flag.last : 0) |
    (entry.timeIsApproximate ? flag.approximate : 0)
  out.writeUInt32LE(bytes.length, start + 1)
  out.writeBigInt64LE(entry.time, start + 5)
  out.writeBigInt64LE(entry.sequence, start + 13)
  let at = start + entryHeadBytes
  if (partial) {
    const id = Buffer.from(partial.id)
    if (id.length > 255) throw new RangeError('the id of a partial line has more than 255 bytes')
    out.writeUInt32LE(partial.ordinal, at)
    out[at + 4] = id.length
    out.set(id, at + 5)
    at += 5 + id.length
  }
  out.set(bytes, at)
  return at + bytes.length
}

class DecodedEntry implements LogEntry {
  readonly stream: LogStream
  readonly time: bigint
  readonly sequence: bigint
  readonly partial: PartialMark | null
  readonly timeIsApproximate: boolean | undefined
  readonly #bytes: Buffer

  constructor(head: Buffer, start: number, partial: PartialMark | null, bytes: Buffer) {
    const flags = head[start]!
    this.stream = flags & flag.stderr ? 'stderr' : 'stdout'
    this.time = head.readBigInt64LE(start + 5)
    this.sequence = head.readBigInt64LE(start + 13)
    this.partial = partial
    this.timeIsApproximate = (flags & flag.approximate) !== 0 || undefined
    this.#bytes = bytes
  }

  get bytes(): Uint8Array {
    return this.#bytes
  }

  get text(): string {
    return this.#bytes.toString()
  }
}

function malformed(what: string) {
  return loggingErrors.error('bad_frame', {
    message: `A batch of log entries from another process ${what}. Two incompatible versions may share this root.`,
  })
}

/** The batch that `encodeEntries` packed; the entries are views into `bytes`. */
export function decodeEntries(bytes: Uint8Array): readonly LogEntry[] {
  const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (input.length < headBytes || input[0] !== version) throw malformed(`is not of version ${version}`)
  const count = input.readUInt32LE(1)
  const entries: LogEntry[] = []
  let at = headBytes
  const need = (length: number) => {
    if (at + length > input.length) throw malformed(`ends in the middle of entry ${entries.length + 1} of ${count}`)
  }
  while (entries.length < count) {
    need(entryHeadBytes)
    const start = at
    const flags = input[start]!
    const length = input.readUInt32LE(start + 1)
    let partial: PartialMark | null = null
    at += entryHeadBytes
    if (flags & flag.partial) {
      need(5)
      const idLength = input[at + 4]!
      need(5 + idLength)
      const id = input.toString('utf8', at + 5, at + 5 + idLength)
      partial = { id, ordinal: input.readUInt32LE(at), last: (flags & flag.last) !== 0 }
      at += 5 + idLength
    }
    need(length)
    entries.push(new DecodedEntry(input, start, partial, input.subarray(at, at + length)))
    at += length
  }
  if (at !== input.length) throw malformed('has bytes after its last entry')
  return entries
}
