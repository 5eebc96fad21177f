import type { TarEntry } from './tar-entry.ts'
import { blockSize } from './tar-header.ts'

const typeFlags = { file: '0', hardlink: '1', symlink: '2', char: '3', block: '4', directory: '5', fifo: '6' } as const

/** Largest number of an octal field of 12, and of 8 bytes. */
const max12 = 8 ** 11 - 1
const max8 = 8 ** 7 - 1

/**
 * The header of an entry, with an extended header before it for what ustar cannot hold: long or non-ASCII names, large
 * numbers, fractions of seconds, xattrs. The same entry always gives the same bytes. Source: POSIX pax(1).
 */
export function encodeHeader(entry: TarEntry): Buffer {
  const path = entry.type === 'directory' ? Buffer.concat([entry.path, Buffer.from('/')]) : entry.path
  const records: [string, Buffer][] = []
  const fits = (name: Buffer) => name.length <= 100 && name.every((byte) => byte > 0 && byte < 0x80)
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
  const header = block(entry, path, typeFlags[entry.type])
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
  )
  return Buffer.concat([extended, body, Buffer.alloc(padding(body.length)), header])
}

export const padding = (size: number): number => (blockSize - (size % blockSize)) % blockSize

/** Two zero blocks. */
export const endOfTar: Buffer = Buffer.alloc(2 * blockSize)

function block(entry: TarEntry, path: Buffer, type: string): Buffer {
  const out = Buffer.alloc(blockSize)
  const octal = (at: number, length: number, value: number) =>
    out.write(
      Math.max(0, value)
        .toString(8)
        .padStart(length - 1, '0')
        .slice(-(length - 1)),
      at,
      'latin1',
    )
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
