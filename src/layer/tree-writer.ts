import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { fileTypes, lchown, makedev, mkfifo, mknod, utimens } from '../host/syscall/file.ts'
import { lsetxattr } from '../host/syscall/xattr.ts'
import { badName, cleanPath, type EntryPath, pathBytes, pathKey } from './entry-path.ts'
import type { LayerLimits } from './layer-limits.ts'
import { removeTree } from './remove-tree.ts'
import { SparseWriter } from './sparse-writer.ts'
import type { TarEntry, TarVisitor } from './tar-entry.ts'
import { LowerDeletion, readMarker } from './whiteouts.ts'

/**
 * Makes a layer's entries in the tree at `/` of the calling thread, which has made the target its root: nothing that an
 * archive holds can lead out of it. Owners, then modes (chown clears setuid), then xattrs (chown clears capabilities),
 * then times; those of directories last of all, since entries below change them.
 */
export class TreeWriter implements TarVisitor {
  readonly #limits: LayerLimits
  readonly #lower = new LowerDeletion()
  readonly #knownDirectories = new Set<string>([''])
  readonly #directoryTimes = new Map<string, { path: EntryPath; time: TarEntry['mtime'] }>()
  #open: { entry: TarEntry; path: Buffer; writer: SparseWriter; fd: number } | null = null

  constructor(limits: LayerLimits) {
    this.#limits = limits
  }

  entry(entry: TarEntry): void {
    const path = cleanPath(entry.path, this.#limits)
    const marker = readMarker(path)
    if (marker.kind === 'ignored') return
    if (marker.kind === 'deleted') {
      this.#forget(marker.path)
      return this.#lower.delete(marker.path)
    }
    if (marker.kind === 'opaque') {
      this.#forget(marker.directory)
      return this.#lower.clear(marker.directory)
    }
    if (path.length === 0) {
      if (entry.type === 'directory') this.#directory(path, pathBytes(path), entry)
      else throw badName(entry.path, 'the root of a layer is a directory')
      return
    }
    this.#parents(path)
    this.#make(path, pathBytes(path), entry)
    this.#lower.wrote(path)
  }

  data(chunk: Buffer): void {
    this.#open?.writer.write(chunk)
  }

  end(): void {
    const open = this.#open
    if (!open) return
    this.#open = null
    const { entry, fd, path, writer } = open
    try {
      const size = writer.finish()
      if (size !== entry.size || writer.endsInHole) ftruncateSync(fd, entry.size)
      fchownSync(fd, entry.uid, entry.gid)
      fchmodSync(fd, entry.mode)
    } finally {
      closeSync(fd)
    }
    this.#finish(path, entry)
  }

  /** Sets what had to wait for the last entry. */
  finish(): void {
    for (const { path, time } of [...this.#directoryTimes.values()].reverse()) {
      const bytes = pathBytes(path)
      // A later entry may have put something else there.
      if (lstatSync(bytes, { throwIfNoEntry: false })?.isDirectory()) utimens(bytes, time, time)
    }
  }

  /** Closes what an aborted run left open. */
  close(): void {
    if (this.#open) closeSync(this.#open.fd)
    this.#open = null
  }

  #make(path: EntryPath, bytes: Buffer, entry: TarEntry): void {
    switch (entry.type) {
      case 'directory':
        return this.#directory(path, bytes, entry)
      case 'file':
        return this.#file(path, bytes, entry)
      case 'hardlink':
        return this.#fresh(path, bytes, () => {
          try {
            linkSync(pathBytes(cleanPath(entry.link, this.#limits)), bytes)
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code === 'ENOENT')
              throw badName(
                entry.path,
                `it is a hard link to ${JSON.stringify(entry.link.toString())}, which is not there`,
              )
            throw error
          }
        })
      case 'symlink':
        if (entry.link.length === 0) throw badName(entry.path, 'it is a symbolic link to nothing')
        this.#fresh(path, bytes, () => symlinkSync(entry.link, bytes))
        lchown(bytes, entry.uid, entry.gid)
        return this.#finish(bytes, entry)
      default:
        this.#fresh(path, bytes, () => {
          if (entry.type === 'fifo') return mkfifo(bytes, entry.mode)
          const type = entry.type === 'char' ? fileTypes.character : fileTypes.block
          mknod(bytes, type, entry.mode, makedev(entry.device.major, entry.device.minor))
        })
        chownSync(bytes, entry.uid, entry.gid)
        chmodSync(bytes, entry.mode)
        return this.#finish(bytes, entry)
    }
  }

  #directory(path: EntryPath, bytes: Buffer, entry: TarEntry): void {
    if (path.length > 0 && !lstatSync(bytes, { throwIfNoEntry: false })?.isDirectory())
      this.#fresh(path, bytes, () => mkdirSync(bytes, { mode: 0o700 }))
    this.#knownDirectories.add(pathKey(path))
    chownSync(bytes, entry.uid, entry.gid)
    chmodSync(bytes, entry.mode)
    this.#setXattrs(bytes, entry)
    const key = pathKey(path)
    this.#directoryTimes.delete(key)
    this.#directoryTimes.set(key, { path, time: entry.mtime })
  }

  #file(path: EntryPath, bytes: Buffer, entry: TarEntry): void {
    let fd = -1
    this.#fresh(path, bytes, () => {
      fd = openSync(bytes, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
    })
    this.#open = { entry, path: bytes, fd, writer: new SparseWriter(fd, entry.sparse) }
  }

  /** Runs `make`; when something is there already it goes first: the last entry of a name wins. */
  #fresh(path: EntryPath, bytes: Buffer, make: () => void): void {
    try {
      make()
    } catch (error) {
      if (!isExists(error)) throw error
      removeTree(bytes)
      this.#forget(path)
      make()
    }
  }

  #finish(bytes: Buffer, entry: TarEntry): void {
    this.#setXattrs(bytes, entry)
    utimens(bytes, entry.mtime, entry.mtime)
  }

  #setXattrs(bytes: Buffer, entry: TarEntry): void {
    for (const [name, value] of entry.xattrs) {
      // They would speak to the kernel about the layers themselves.
      if (name.startsWith('trusted.overlay.') || name.startsWith('user.overlay.'))
        throw badName(entry.path, `it sets ${name}, which belongs to the overlay file system`)
      lsetxattr(bytes, name, value)
    }
  }

  /** Makes missing parents as 0755 root; existing ones may be links, which resolve inside the tree. */
  #parents(path: EntryPath): void {
    const parent = path.slice(0, -1)
    if (this.#knownDirectories.has(pathKey(parent))) return
    for (let depth = 1; depth < path.length; depth++) {
      const above = path.slice(0, depth)
      const key = pathKey(above)
      if (this.#knownDirectories.has(key)) continue
      const bytes = pathBytes(above)
      const facts = statSync(bytes, { throwIfNoEntry: false })
      if (!facts) {
        this.#fresh(above, bytes, () => mkdirSync(bytes, { mode: 0o700 }))
        chmodSync(bytes, 0o755)
        this.#lower.wrote(above)
      } else if (!facts.isDirectory()) throw badName(pathKey(path), `${pathKey(above)} above it is no directory`)
      this.#knownDirectories.add(key)
    }
  }

  #forget(path: EntryPath): void {
    const key = pathKey(path)
    // What is above a known directory is known too.
    if (!this.#knownDirectories.has(key)) return
    for (const known of this.#knownDirectories)
      if (known !== '' && (known === key || known.startsWith(`${key}/`))) this.#knownDirectories.delete(known)
  }
}

const isExists = (error: unknown): boolean =>
  (error as NodeJS.ErrnoException).code === 'EEXIST' ||
  (error as NodeJS.ErrnoException).code === 'ELOOP' ||
  (error as { kind?: string }).kind === 'already_exists'
