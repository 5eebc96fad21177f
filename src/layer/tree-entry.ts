import { type BigIntStats, lstatSync, readlinkSync } from 'node:fs'
import { lgetxattr, llistxattr } from '../host/syscall/xattr.ts'
import type { TarEntry, TarEntryType } from './tar-entry.ts'

/** Attributes that are the storage's, not the file's. */
const foreign = (name: string): boolean => name.startsWith('trusted.overlay.') || name.startsWith('user.overlay.')

export const statBytes = (path: Buffer): BigIntStats => lstatSync(path, { bigint: true })

/** What a tar says of a file; null for sockets, which tars do not hold. */
export function entryOf(name: Buffer, path: Buffer, facts: BigIntStats): TarEntry | null {
  const type = typeOf(facts)
  if (!type) return null
  const nanoseconds = Number(((facts.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)
  return {
    type,
    path: name,
    link: type === 'symlink' ? readlinkSync(path, { encoding: 'buffer' }) : Buffer.alloc(0),
    mode: Number(facts.mode & 0o7777n),
    uid: Number(facts.uid),
    gid: Number(facts.gid),
    size: type === 'file' ? Number(facts.size) : 0,
    mtime: { seconds: Number((facts.mtimeNs - BigInt(nanoseconds)) / 1_000_000_000n), nanoseconds },
    device: type === 'char' || type === 'block' ? deviceOf(facts.rdev) : { major: 0, minor: 0 },
    xattrs: xattrsOf(path),
    sparse: null,
  }
}

export function xattrsOf(path: Buffer): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>()
  for (const name of llistxattr(path).sort()) {
    const value = foreign(name) ? null : lgetxattr(path, name)
    if (value) found.set(name, Buffer.from(value))
  }
  return found
}

function typeOf(facts: BigIntStats): TarEntryType | null {
  if (facts.isFile()) return 'file'
  if (facts.isDirectory()) return 'directory'
  if (facts.isSymbolicLink()) return 'symlink'
  if (facts.isFIFO()) return 'fifo'
  if (facts.isCharacterDevice()) return 'char'
  return facts.isBlockDevice() ? 'block' : null
}

// The kernel's encoding of device numbers in stat (makedev(3)).
const deviceOf = (rdev: bigint) => ({
  major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
  minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
})
