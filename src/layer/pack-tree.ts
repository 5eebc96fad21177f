import { readdirSync } from 'node:fs'
import { lgetxattr } from '../host/syscall/xattr.ts'
import type { TarEntry } from './tar-entry.ts'
import type { TarOutput } from './tar-output.ts'
import { entryOf, statBytes } from './tree-entry.ts'

const slash = Buffer.from('/')
const join = (directory: Buffer, name: Buffer): Buffer => Buffer.concat([directory, slash, name])

/** Names of a directory in the order of their bytes, which is the same everywhere. */
export const sortedNames = (directory: Buffer): Buffer[] =>
  readdirSync(directory, { encoding: 'buffer' }).sort(Buffer.compare)

/** Files with several names within one tar: the first one holds the content. */
class HardLinks {
  readonly #first = new Map<string, Buffer>()

  /** The entry as it is to be written: a hard link when the file has been written under another name. */
  resolve(entry: TarEntry, facts: { dev: bigint; ino: bigint; nlink: bigint }): TarEntry {
    if (entry.type === 'directory' || facts.nlink < 2n) return entry
    const key = `${facts.dev}:${facts.ino}`
    const first = this.#first.get(key)
    if (first) return { ...entry, type: 'hardlink', link: first, size: 0 }
    this.#first.set(key, entry.path)
    return entry
  }
}

/** Writes a whole tree, the root's own entry left out. */
export function packTree(root: Buffer, output: TarOutput): void {
  const links = new HardLinks()
  const walk = (directory: Buffer, prefix: Buffer | null) => {
    for (const name of sortedNames(directory)) {
      const path = join(directory, name)
      const facts = statBytes(path)
      const entry = entryOf(prefix ? join(prefix, name) : name, path, facts)
      if (!entry) continue
      output.add(links.resolve(entry, facts), path)
      if (entry.type === 'directory') walk(path, entry.path)
    }
  }
  walk(root, null)
}

/** What a whiteout entry looks like: an empty file of root's, with no time of its own. */
const whiteout = (path: Buffer): TarEntry => ({
  type: 'file',
  path,
  link: Buffer.alloc(0),
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  device: { major: 0, minor: 0 },
  xattrs: new Map(),
  sparse: null,
})

const isOverlayWhiteout = (facts: { isCharacterDevice(): boolean; rdev: bigint }): boolean =>
  facts.isCharacterDevice() && facts.rdev === 0n

const isOpaque = (path: Buffer): boolean =>
  ['trusted.overlay.opaque', 'user.overlay.opaque'].some((name) => lgetxattr(path, name)?.[0] === 0x79)

/**
 * Writes what an overlay's upper directory changes, as an OCI layer: 0/0 devices become whiteouts, opaque directories get
 * their marker. Source: OCI image-spec, layer.md; kernel, filesystems/overlayfs.rst.
 */
export function packOverlayChanges(upper: Buffer, output: TarOutput): void {
  const links = new HardLinks()
  const walk = (directory: Buffer, prefix: Buffer | null) => {
    for (const name of sortedNames(directory)) {
      const path = join(directory, name)
      const facts = statBytes(path)
      const inTar = prefix ? join(prefix, name) : name
      if (isOverlayWhiteout(facts)) {
        const marker = Buffer.concat([Buffer.from('.wh.'), name])
        output.add(whiteout(prefix ? join(prefix, marker) : marker), path)
        continue
      }
      const entry = entryOf(inTar, path, facts)
      if (!entry) continue
      output.add(links.resolve(entry, facts), path)
      if (entry.type !== 'directory') continue
      if (isOpaque(path)) output.add(whiteout(join(inTar, Buffer.from('.wh..wh..opq'))), path)
      walk(path, inTar)
    }
  }
  walk(upper, null)
}

/** Writes what differs between two whole trees. Equal files are those with equal entries and equal times. */
export function packTreeChanges(older: Buffer | null, newer: Buffer, output: TarOutput): void {
  const links = new HardLinks()
  const walk = (before: Buffer | null, after: Buffer, prefix: Buffer | null) => {
    const old = new Map((before ? sortedNames(before) : []).map((name) => [name.toString('latin1'), name]))
    const present = sortedNames(after)
    for (const name of present) {
      const path = join(after, name)
      const facts = statBytes(path)
      const entry = entryOf(prefix ? join(prefix, name) : name, path, facts)
      const key = name.toString('latin1')
      const beforePath = before && old.has(key) ? join(before, name) : null
      old.delete(key)
      if (!entry) continue
      const beforeEntry = beforePath ? entryOf(entry.path, beforePath, statBytes(beforePath)) : null
      const linked = links.resolve(entry, facts)
      if (!beforeEntry || !sameEntry(beforeEntry, entry)) output.add(linked, path)
      if (entry.type === 'directory') walk(beforeEntry?.type === 'directory' ? beforePath : null, path, entry.path)
    }
    for (const name of [...old.values()].sort(Buffer.compare)) {
      const marker = Buffer.concat([Buffer.from('.wh.'), name])
      output.add(whiteout(prefix ? join(prefix, marker) : marker), after)
    }
  }
  walk(older, newer, null)
}

function sameEntry(a: TarEntry, b: TarEntry): boolean {
  return (
    a.type === b.type &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.size === b.size &&
    a.link.equals(b.link) &&
    a.device.major === b.device.major &&
    a.device.minor === b.device.minor &&
    (a.type === 'directory' || (a.mtime.seconds === b.mtime.seconds && a.mtime.nanoseconds === b.mtime.nanoseconds)) &&
    a.xattrs.size === b.xattrs.size &&
    [...a.xattrs].every(([name, value]) => b.xattrs.get(name)?.equals(value) ?? false)
  )
}
