import { type BigIntStats, lstatSync, readlinkSync } from 'node:fs'
import { layerErrors } from '../errors/layer-errors.ts'
import { flistxattr, lgetxattr, llistxattr } from '../host/syscall/xattr.ts'
import { timeOf } from './directory-tree.ts'
import { overlayXattrs } from './entry-xattrs.ts'
import type { TarEntry, TarEntryType } from './tar-entry.ts'

export const statBytes = (path: Buffer): BigIntStats => lstatSync(path, { bigint: true })

const nothing = Buffer.alloc(0)

/**
 * What a tar says of a file; null for sockets, which tars do not hold. Attributes that begin with `storage` are the
 * storage's, not the file's. `opened` is a descriptor of the file, for speed.
 */
export function entryOf(
  name: Buffer,
  path: Buffer,
  facts: BigIntStats,
  storage: string = overlayXattrs,
  opened: number | null = null,
): TarEntry | null {
  const type = typeOf(facts)
  if (!type) return null
  return {
    type,
    path: name,
    link: type === 'symlink' ? readlinkSync(path, { encoding: 'buffer' }) : nothing,
    mode: Number(facts.mode & 0o7777n),
    uid: Number(facts.uid),
    gid: Number(facts.gid),
    size: type === 'file' ? Number(facts.size) : 0,
    mtime: timeOf(facts),
    device: type === 'char' || type === 'block' ? deviceOf(facts.rdev) : { major: 0, minor: 0 },
    xattrs: xattrsOf(path, storage, opened),
    sparse: null,
  }
}

const noXattrs: ReadonlyMap<string, Buffer> = new Map()

function xattrsOf(path: Buffer, storage: string, opened: number | null): ReadonlyMap<string, Buffer> {
  const names = opened === null ? llistxattr(path) : flistxattr(opened, path)
  if (names.length === 0) return noXattrs
  const found = new Map<string, Buffer>()
  for (const name of names.sort()) {
    if (name.startsWith(overlayXattrs) || name.startsWith(storage)) continue
    if (name.includes('='))
      throw layerErrors.error('unsupported_entry', {
        message: `${path} has the attribute ${JSON.stringify(name)}; tars cannot hold names with "=". Remove it.`,
      })
    const value = lgetxattr(path, name)
    if (value) found.set(name, Buffer.from(value))
  }
  return found
}

export function sameEntry(a: TarEntry, b: TarEntry): boolean {
  return sameButTime(a, b) && a.mtime.seconds === b.mtime.seconds && a.mtime.nanoseconds === b.mtime.nanoseconds
}

export function sameButTime(a: TarEntry, b: TarEntry): boolean {
  return (
    a.type === b.type &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.size === b.size &&
    a.link.equals(b.link) &&
    a.device.major === b.device.major &&
    a.device.minor === b.device.minor &&
    a.xattrs.size === b.xattrs.size &&
    [...a.xattrs].every(([name, value]) => b.xattrs.get(name)?.equals(value) ?? false)
  )
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
