import type { TarEntry } from './tar-entry.ts'
import { blockSize } from './tar-header.ts'

const typeFlags = { file: '0', hardlink: '1', symlink: '2', char: '3', block: '4', directory: '5', fifo: '6' } as const

/** Largest number of an octal field of 12, and of 8 bytes. */
const max12 = 8 ** 11 - 1
const max8 = 8 ** 7 - 1

/**
 * The header of an entry, with an extended header before it for what ustar cannot hold: long or non-ASCII names, large
 * numbers, fractions of seconds, xattrs. The same entry always gives the same bytes. A header without such a one is made
 * in `scratch`, a block to use again and again. Source: POSIX pax(1).
 */
export function encodeHeader(entry: TarEntry, scratch: Buffer = Buffer.allocUnsafe(blockSize)): Buffer {
  const path = entry.type === 'directory' ? Buffer.concat([entry.path, Buffer.from('/')]) : entry.path
  const records: [string, Buffer][] = []
  const wantsNumber = (key: string, value: number, max: number) => {
    if (value < 0 || value > max) records.push([key, Buffer.from(String(value))])
  }
  if (!fits(path)) records.push(['path', path])
  if (!fits(entry.link)) records.push(['linkpath', entry.link])
  wantsNumber('size', entry.size, max12)
  wantsNumber('uid', entry.uid, max8)
  wantsNumber('gid', entry.gid, max8)
  const { seconds, nanoseconds } = entry.mtime
  if (nanoseconds !== 0 || seconds < 0 || seconds > max12)
    records.push(['mtime', Buffer.from(formatTime(seconds, nanoseconds))])
  for (const [name, value] of entry.xattrs) records.push([`SCHILY.xattr.${name}`, value])
  records.sort(([a], [b]) => (a < b ? -1 : 1))
  const header = block(entry, path, typeFlags[entry.type], scratch)
  if (records.length === 0) return header
  const body = Buffer.concat(records.map(([key, value]) => encodeRecord(key, value)))
  const extended = block(
    {
      ...entry,
      type: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      size: body.length,
      mtime: { seconds: 0, nanoseconds: 0 },
      link: Buffer.alloc(0),
    },
    Buffer.from('PaxHeaders/x'),
    'x',
    Buffer.allocUnsafe(blockSize),
  )
  return Buffer.concat([extended, body, Buffer.alloc(padding(body.length)), header])
}

export const padding = (size: number): number => (blockSize - (size % blockSize)) % blockSize

/** Two zero blocks. */
export const endOfTar: Buffer = Buffer.alloc(2 * blockSize)

/** ASCII, and as long as the field. */
function fits(name: Buffer): boolean {
  if (name.length > 100) return false
  for (let at = 0; at < name.length; at++) if (name[at]! === 0 || name[at]! >= 0x80) return false
  return true
}

function block(entry: TarEntry, path: Buffer, type: string, out: Buffer): Buffer {
  out.fill(0)
  // Zeros in front, one NUL behind.
  const octal = (at: number, length: number, value: number) => {
    let rest = Math.max(0, value)
    for (let digit = at + length - 2; digit >= at; digit--) {
      out[digit] = 0x30 + (rest % 8)
      rest = Math.floor(rest / 8)
    }
  }
  path.subarray(0, 100).copy(out)
  octal(100, 8, entry.mode)
  octal(108, 8, entry.uid > max8 ? 0 : entry.uid)
  octal(116, 8, entry.gid > max8 ? 0 : entry.gid)
  octal(124, 12, entry.size > max12 ? 0 : entry.size)
  octal(136, 12, entry.mtime.seconds > max12 ? 0 : entry.mtime.seconds)
  out.write(type, 156, 'latin1')
  entry.link.subarray(0, 100).copy(out, 157)
  out.write('ustar\x0000', 257, 'latin1')
  if (entry.type === 'char' || entry.type === 'block') {
    octal(329, 8, entry.device.major)
    octal(337, 8, entry.device.minor)
  }
  let sum = 8 * 0x20
  for (let at = 0; at < blockSize; at++) sum += out[at]!
  out.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return out
}

function encodeRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.byteLength(key) + value.length + 3
  let length = rest + String(rest).length
  // The number counts its own digits.
  if (rest + String(length).length !== length) length = rest + String(length).length
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')])
}

function formatTime(seconds: number, nanoseconds: number): string {
  if (nanoseconds === 0) return String(seconds)
  const fraction = (n: number) => String(n).padStart(9, '0').replace(/0+$/, '')
  if (seconds >= 0) return `${seconds}.${fraction(nanoseconds)}`
  return `-${-seconds - 1}.${fraction(1e9 - nanoseconds)}`
}
