import type { LogStream } from 'tscontainer/driver-kit'
import type { FileLine } from './log-file.ts'

/** One line of the file, taken apart. */
export interface ParsedLine {
  readonly stream: LogStream
  readonly time: bigint
  /** Without the newline. */
  readonly bytes: Buffer
  /** Its newline is there: not a piece, or the last one. */
  readonly whole: boolean
  readonly approximate: boolean
}

const timePattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/

/** RFC 3339 to nanoseconds since the epoch; null when it is none. */
export function parseTime(text: string): bigint | null {
  const match = timePattern.exec(text)
  if (!match) return null
  const milliseconds = Date.parse(`${match[1]}${match[3]}`)
  if (Number.isNaN(milliseconds)) return null
  return BigInt(milliseconds) * 1_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'))
}

const head = '{"log":"'
const unescaped = /["\\]/

/** Reads lines of the file; keeps the last time it parsed, since neighbours often share it. */
export class LineParser {
  #timeText = ''
  #time = 0n

  /** Null when the line is not of the format. */
  parse(line: FileLine): ParsedLine | null {
    return this.#parseSimple(line) ?? this.#parseAny(line)
  }

  /** The common form, whose `log` holds no escape but the final \n, without a JSON parser. */
  #parseSimple(line: FileLine): ParsedLine | null {
    const { text } = line
    if (!text.startsWith(head) || !text.endsWith('Z"}')) return null
    const timeAt = text.lastIndexOf('"time":"')
    // Both streams' names have the same length, so the end of `log` is always as far from the time.
    const closeAt = timeAt - 20
    const out = text.startsWith('","stream":"stdout",', closeAt)
    if (!out && !text.startsWith('","stream":"stderr",', closeAt)) return null
    const whole = text.startsWith('\\n', closeAt - 2)
    const end = whole ? closeAt - 2 : closeAt
    if (unescaped.test(text.slice(head.length, end))) return null
    const time = this.#parseTime(text.slice(timeAt + 8, -2))
    if (time === null) return null
    const bytes = line.bytes(head.length, end)
    return { stream: out ? 'stdout' : 'stderr', time, bytes, whole, approximate: false }
  }

  #parseAny(line: FileLine): ParsedLine | null {
    let value: unknown
    try {
      value = JSON.parse(line.bytes().toString())
    } catch {
      return null
    }
    if (typeof value !== 'object' || value === null) return null
    const { log = '', stream, time: timeText, raw, attrs } = value as Readonly<Record<string, unknown>>
    if (typeof log !== 'string' || typeof timeText !== 'string' || (stream !== 'stdout' && stream !== 'stderr'))
      return null
    const time = this.#parseTime(timeText)
    if (time === null) return null
    const whole = log.endsWith('\n')
    const bytes = typeof raw === 'string' ? Buffer.from(raw, 'base64') : Buffer.from(whole ? log.slice(0, -1) : log)
    const approximate = typeof attrs === 'object' && attrs !== null && 'timeIsApproximate' in attrs
    return { stream, time, bytes, whole, approximate }
  }

  #parseTime(text: string): bigint | null {
    if (text === this.#timeText) return this.#time
    const time = parseTime(text)
    if (time !== null) {
      this.#timeText = text
      this.#time = time
    }
    return time
  }
}
