import { isAscii, isUtf8 } from 'node:buffer'
import type { LogEntry } from 'tscontainer/driver-kit'
import type { OutputBuffer } from './output-buffer.ts'
import { checkedCharacters, type PlainCheck } from './plain-check.ts'

// Docker's format (moby daemon/logger/jsonfilelog/jsonlog): one object per line with `log`, `stream`, `attrs` and `time`
// in this order; escapes as Go's encoding/json with its HTML-safe set, control characters but \n and \r as \u00xx.

const opening = '{"log":"'
const unsafeEach = /["\\<>&\x00-\x1f\u2028\u2029]/g

function escapeCharacter(character: string): string {
  switch (character) {
    case '"':
      return '\\"'
    case '\\':
      return '\\\\'
    case '\n':
      return '\\n'
    case '\r':
      return '\\r'
    default:
      return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  }
}

/** A string as Docker writes it, without the quotes. */
export const escapeText = (text: string): string => text.replace(unsafeEach, escapeCharacter)

/** How many bytes the UTF-8 character at `at` has; 0 when there is none (RFC 3629, section 4). */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!
  if (first < 0x80) return 1
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
  return isUtf8(bytes.subarray(at, at + length)) && at + length <= bytes.length ? length : 0
}

/** Bytes that are not all UTF-8: each byte that belongs to no character becomes an escaped U+FFFD. */
function escapeBrokenText(bytes: Uint8Array): string {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let out = ''
  let start = 0
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes, at)
    if (length === 0) {
      out += `${escapeText(source.toString('utf8', start, at))}\\ufffd`
      start = at + 1
    }
    at += length || 1
  }
  return out + escapeText(source.toString('utf8', start))
}

const second = 1_000_000_000n

/** RFC 3339 in UTC with as many decimals as are needed, up to nine: Go's RFC3339Nano. */
export function formatTime(time: bigint): string {
  const nanoseconds = time % second
  const whole = new Date(Number(time / second) * 1000).toISOString().slice(0, 19)
  if (nanoseconds === 0n) return `${whole}Z`
  return `${whole}.${String(nanoseconds).padStart(9, '0').replace(/0+$/, '')}Z`
}

/** Extra members of every line: labels and environment as asked for, keys sorted as Go does. */
export function formatAttributes(attributes: Readonly<Record<string, string>>): string {
  const members = Object.keys(attributes)
    .sort()
    .map((key) => `"${escapeText(key)}":"${escapeText(attributes[key]!)}"`)
  return members.length === 0 ? '' : `,"attrs":{${members.join(',')}}`
}

/** The mark of lines whose time is not when they were written, among the attributes, where Docker's readers expect text. */
export const approximateAttribute = 'timeIsApproximate'

/** Turns entries into the lines of the file. Times and endings are made once for entries that share them. */
export class LineFormatter {
  readonly #check: PlainCheck
  readonly #attributes: string
  readonly #asciiAttributes: boolean
  readonly #approximateAttributes: string
  #time = -1n
  #made = { stdout: '', stderr: '' }
  #formattedTime = -1n
  #timeText = ''

  constructor(attributes: Readonly<Record<string, string>>, check: PlainCheck) {
    this.#check = check
    this.#attributes = formatAttributes(attributes)
    this.#asciiAttributes = isAscii(Buffer.from(this.#attributes))
    this.#approximateAttributes = formatAttributes({ ...attributes, [approximateAttribute]: 'true' })
  }

  /** Appends the lines of a batch. Neighbours mostly differ in their text only: such a run is written as one. */
  format(batch: readonly LogEntry[], out: OutputBuffer): void {
    for (let at = 0; at < batch.length; ) {
      const first = batch[at]!
      const { time, stream } = first
      const run: string[] = []
      let characters = 0
      for (let next = at; next < batch.length; next++) {
        const entry = batch[next]!
        if (entry.partial !== null || entry.timeIsApproximate || entry.time !== time || entry.stream !== stream) break
        const { text } = entry
        characters += text.length + 1
        if (characters > checkedCharacters && run.length > 0) break
        run.push(text)
      }
      if (run.length > 0 && this.#check.isPlain(run.join('\n'))) this.#formatPlain(first, run, out)
      else for (let n = at; n < at + Math.max(run.length, 1); n++) out.text(this.#formatOne(batch[n]!))
      at += Math.max(run.length, 1)
    }
  }

  #formatPlain({ time, stream }: LogEntry, run: readonly string[], out: OutputBuffer): void {
    const ending = this.#endings(time)[stream]
    const lines = run.join(ending + opening)
    out.ascii(opening)
    if (this.#asciiAttributes) out.ascii(lines)
    else out.text(lines)
    out.text(ending)
  }

  #endings(time: bigint): { readonly stdout: string; readonly stderr: string } {
    if (time !== this.#time) {
      this.#time = time
      const rest = `${this.#attributes},"time":"${this.#formatTime(time)}"}\n`
      this.#made = { stdout: `\\n","stream":"stdout"${rest}`, stderr: `\\n","stream":"stderr"${rest}` }
    }
    return this.#made
  }

  #formatOne(entry: LogEntry): string {
    const { text, partial } = entry
    const whole = partial === null || partial.last ? '\\n' : ''
    const broken = text.includes('\ufffd') && !isUtf8(entry.bytes)
    const log = broken ? escapeBrokenText(entry.bytes) : escapeText(text)
    const attributes = entry.timeIsApproximate ? this.#approximateAttributes : this.#attributes
    // Docker's format cannot hold bytes that are not UTF-8: such lines carry them in a member its readers pass over.
    const raw = broken ? `,"raw":"${Buffer.from(entry.bytes).toString('base64')}"` : ''
    return `{"log":"${log}${whole}","stream":"${entry.stream}"${attributes},"time":"${this.#formatTime(entry.time)}"${raw}}\n`
  }

  #formatTime(time: bigint): string {
    if (time !== this.#formattedTime) {
      this.#formattedTime = time
      this.#timeText = formatTime(time)
    }
    return this.#timeText
  }
}
