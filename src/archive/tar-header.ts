import { archiveErrors } from '../errors/archive-errors.ts'

export type TarType =
  | 'file'
  | 'link'
  | 'symlink'
  | 'directory'
  | 'pax'
  | 'pax-global'
  | 'long-path'
  | 'long-link'
  | 'other'

/** One 512-byte header, as it stands. */
export interface TarHeader {
  readonly type: TarType
  readonly path: string
  readonly link: string
  readonly size: number
}

export const tarBlock = 512

const types: Readonly<Record<string, TarType>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '5': 'directory',
  x: 'pax',
  X: 'pax',
  g: 'pax-global',
  L: 'long-path',
  K: 'long-link',
}

/**
 * Reads a header block; null for the block of zeros that ends an archive. Source: POSIX.1-2017, pax, "ustar
 * Interchange Format", and the GNU tar manual, "Basic Tar Format".
 *
 * @throws `archive.corrupt` when its checksum or a number is wrong
 */
export function readTarHeader(block: Buffer, at: number): TarHeader | null {
  if (block.every((byte) => byte === 0)) return null
  const stored = number(block, 148, 8, at)
  let sum = 8 * 32
  for (let i = 0; i < tarBlock; i++) if (i < 148 || i >= 156) sum += block[i]!
  if (sum !== stored) throw corrupt(at, 'its checksum is wrong')
  const type = types[String.fromCharCode(block[156]!)] ?? 'other'
  const isUstar = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isUstar ? text(block, 345, 155) : ''
  const name = text(block, 0, 100)
  const hasBody = type !== 'link' && type !== 'symlink' && type !== 'directory'
  return {
    type,
    path: prefix ? `${prefix}/${name}` : name,
    link: text(block, 157, 100),
    size: hasBody ? number(block, 124, 12, at) : 0,
  }
}

/** The records of a pax header that matter here. @throws `archive.corrupt` */
export function readPaxRecords(body: Buffer, at: number): { path?: string; link?: string; size?: number } {
  const found: { path?: string; link?: string; size?: number } = {}
  for (let start = 0; start < body.length && body[start] !== 0; ) {
    const space = body.indexOf(0x20, start)
    const length = space < 0 ? Number.NaN : Number(body.toString('latin1', start, space))
    if (!Number.isSafeInteger(length) || length <= space - start || start + length > body.length)
      throw corrupt(at, 'a pax record has no length')
    const record = body.toString('utf8', space + 1, start + length - 1)
    const equals = record.indexOf('=')
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)]
    if (key === 'path') found.path = value
    if (key === 'linkpath') found.link = value
    if (key === 'size') {
      if (!/^\d{1,16}$/.test(value) || !Number.isSafeInteger(Number(value)))
        throw corrupt(at, 'a pax size is no number')
      found.size = Number(value)
    }
    start += length
  }
  return found
}

function text(block: Buffer, start: number, length: number): string {
  const end = block.indexOf(0, start)
  return block.toString('utf8', start, end >= start && end < start + length ? end : start + length)
}

function number(block: Buffer, start: number, length: number, at: number): number {
  // GNU tar writes numbers too large for octal digits in base 256, marked by the top bit.
  if (block[start]! & 0x80) {
    let value = block[start]! & 0x7f
    for (let i = 1; i < length; i++) value = value * 256 + block[start + i]!
    if (!Number.isSafeInteger(value)) throw corrupt(at, 'a number is too large')
    return value
  }
  const digits = text(block, start, length).trim()
  if (!/^[0-7]*$/.test(digits)) throw corrupt(at, 'a number is not octal')
  return digits === '' ? 0 : Number.parseInt(digits, 8)
}

const corrupt = (at: number, why: string) =>
  archiveErrors.error('corrupt', {
    message: `The tar header at byte ${at} is damaged: ${why}. Make or copy the archive again.`,
    details: { offset: at },
  })
