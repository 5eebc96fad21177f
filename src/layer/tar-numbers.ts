import { layerErrors } from '../errors/layer-errors.ts'

/** A number field: octal text, or base-256 when its first bit is set (GNU tar manual, "Extensions to the format"). */
export function parseNumber(field: Buffer, name: string): number {
  if ((field[0]! & 0x80) !== 0) return parseBase256(field, name)
  const text = field
    .toString('latin1')
    .replace(/^[ \0]+/, '')
    .replace(/[ \0][\s\S]*$/, '')
  if (text === '') return 0
  if (!/^[0-7]+$/.test(text)) throw badNumber(name, text)
  return Number.parseInt(text, 8)
}

function parseBase256(field: Buffer, name: string): number {
  const negative = (field[0]! & 0x40) !== 0
  let value = negative ? -1n : 0n
  for (const [index, byte] of field.entries())
    value = (value << 8n) | BigInt(index === 0 ? (negative ? byte | 0x80 : byte & 0x7f) : byte)
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw badNumber(name, field.toString('hex'))
  return number
}

/** A number of an extended header: decimal text. */
export function parseDecimal(text: string, name: string): number {
  const number = /^-?\d{1,19}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(number)) throw badNumber(name, text)
  return number
}

/** A time of an extended header: seconds with a fraction, perhaps negative. */
export function parseTime(text: string): { seconds: number; nanoseconds: number } {
  const match = /^(-?)(\d{1,15})(?:\.(\d+))?$/.exec(text)
  if (!match) throw badNumber('mtime', text)
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'))
  const seconds = Number(match[2])
  if (match[1] === '') return { seconds, nanoseconds }
  return nanoseconds === 0
    ? { seconds: -seconds, nanoseconds: 0 }
    : { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds }
}

const badNumber = (name: string, text: string) =>
  layerErrors.error('malformed', {
    message: `The tar is damaged: the field ${name} reads ${JSON.stringify(text)}, which is no number it can hold.`,
  })
