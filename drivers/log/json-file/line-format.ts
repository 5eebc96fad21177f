import { isAscii, isUtf8 } from 'node:buffer'
import type { LogEntry } from 'tscontainer/driver-kit'

// Docker's format (moby daemon/logger/jsonfilelog/jsonlog): one object per line with `log`, `stream`, `attrs` and `time`
// in this order; escapes as Go's encoding/json with its HTML-safe set, control characters but \n and \r as \u00xx.

const opening = '{"log":"'
/** What Docker escapes, what may stand for broken UTF-8, and what is not ASCII. */
const notPlain = /["\\<>&\x00-\x1f\x7f-\uffff]/
const unsafe = /["\\<>&\x00-\x1f\u2028\u2029\ufffd]/
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
  readonly #attributes: string
  readonly #approximateAttributes: string
  readonly #asciiAttributes: boolean
  #time = -1n
  #made = { stdout: '', stderr: '' }

  constructor(attributes: Readonly<Record<string, string>>) {
    this.#attributes = formatAttributes(attributes)
    this.#asciiAttributes = isAscii(Buffer.from(this.#attributes))
    this.#approximateAttributes = formatAttributes({ ...attributes, [approximateAttribute]: 'true' })
  }

  /** The lines of a batch; `ascii` when they are nothing else, which makes turning them into bytes cheaper. */
  format(batch: readonly LogEntry[]): { readonly lines: string; readonly ascii: boolean } {
    let out = ''
    let ascii = this.#asciiAttributes
    // Neighbours mostly differ in their text only: such a run is one `join`, which is the fastest way there is.
    let run: string[] = []
    let runStream: LogEntry['stream'] = 'stdout'
    let runTime = -1n
    const closeRun = () => {
      if (run.length === 0) return
      const ending = this.#endings(runTime)[runStream]
      out += `${opening}${run.join(`${ending}${opening}`)}${ending}`
      run = []
    }
    for (const entry of batch) {
      const { text, partial, time, stream } = entry
      const plain = !notPlain.test(text)
      if (!plain) ascii = false
      if (partial !== null || entry.timeIsApproximate || (!plain && unsafe.test(text))) {
        closeRun()
        out += this.#formatSpecial(entry, text)
        continue
      }
      if (time !== runTime || stream !== runStream) {
        closeRun()
        runTime = time
        runStream = stream
      }
      run.push(text)
    }
    closeRun()
    return { lines: out, ascii }
  }

  #endings(time: bigint): { readonly stdout: string; readonly stderr: string } {
    if (time !== this.#time) {
      this.#time = time
      const rest = `${this.#attributes},"time":"${formatTime(time)}"}\n`
      this.#made = { stdout: `\\n","stream":"stdout"${rest}`, stderr: `\\n","stream":"stderr"${rest}` }
    }
    return this.#made
  }

  #formatSpecial(entry: LogEntry, text: string): string {
    const whole = entry.partial === null || entry.partial.last ? '\\n' : ''
    const broken = text.includes('\ufffd') && !isUtf8(entry.bytes)
    const log = broken ? escapeBrokenText(entry.bytes) : escapeText(text)
    const attributes = entry.timeIsApproximate ? this.#approximateAttributes : this.#attributes
    // Docker's format cannot hold bytes that are not UTF-8: such lines carry them in a member its readers pass over.
    const raw = broken ? `,"raw":"${Buffer.from(entry.bytes).toString('base64')}"` : ''
    return `{"log":"${log}${whole}","stream":"${entry.stream}"${attributes},"time":"${formatTime(entry.time)}"${raw}}\n`
  }
}
