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
  readdirSync,
  symlinkSync,
} from 'node:fs'
import { errnoOf } from '../errors/host-errors.ts'
import { fileTypes, lchown, makedev, mkfifo, mknod, utimens } from '../host/syscall/file.ts'
import { checkEntry } from './check-entry.ts'
import { DirectoryTree, type TreeDirectory } from './directory-tree.ts'
import { badName, cleanPath } from './entry-path.ts'
import { replaceXattrs, setXattrs } from './entry-xattrs.ts'
import type { LayerLimits } from './layer-limits.ts'
import { removeTree } from './remove-tree.ts'
import { SparseWriter } from './sparse-writer.ts'
import type { TarEntry, TarVisitor } from './tar-entry.ts'
import { clearLower, deleteLower, readMarker } from './whiteouts.ts'

/**
 * Makes a layer's entries in the tree at `/` of the calling thread, which has made the target its root: nothing that an
 * archive holds can lead out of it. Owners, then modes (chown clears setuid), then xattrs (chown clears capabilities),
 * then times; those of directories last of all, since entries below them change them.
 */
export class TreeWriter implements TarVisitor {
  readonly #limits: LayerLimits
  readonly #check: () => void
  readonly #tree: DirectoryTree
  /** There is something that whiteouts could be about. */
  readonly #hasLower = readdirSync('/').length > 0
  #open: { entry: TarEntry; path: Buffer; writer: SparseWriter; fd: number } | null = null

  /** `check` is called before each entry, and throws when no more is to be made. */
  constructor(limits: LayerLimits, check: () => void) {
    this.#limits = limits
    this.#check = check
    this.#tree = new DirectoryTree(limits)
  }

  entry(entry: TarEntry): void {
    this.#check()
    const path = cleanPath(entry.path, this.#limits)
    const marker = readMarker(path)
    if (marker.kind === 'ignored') return
    if (marker.kind !== 'file') {
      const directory = this.#hasLower ? this.#tree.find(marker.directory) : null
      if (!directory) return
      if (marker.kind === 'opaque') clearLower(this.#tree, directory)
      else deleteLower(this.#tree, directory, marker.name)
      return
    }
    checkEntry(entry)
    const name = path.at(-1)
    if (name === undefined) {
      if (entry.type !== 'directory') throw badName(entry.path, 'the root of a layer is a directory')
      return this.#dress(this.#tree.root, entry, true)
    }
    const directory = this.#tree.make(path.slice(0, -1), entry.mtime)
    directory.touch()
    this.#make(directory, name, entry)
    if (this.#hasLower) directory.markWritten(name)
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
    this.#tree.finish()
  }

  /** Closes what an aborted run left open. */
  close(): void {
    if (this.#open) closeSync(this.#open.fd)
    this.#open = null
  }

  #make(directory: TreeDirectory, name: string, entry: TarEntry): void {
    const bytes = directory.pathOf(name)
    switch (entry.type) {
      case 'directory':
        return this.#directory(directory, name, entry)
      case 'file': {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
        const fd = this.#fresh(directory, name, () => openSync(bytes, flags, 0o600))
        this.#open = { entry, path: bytes, fd, writer: new SparseWriter(fd, entry.sparse) }
        return
      }
      case 'hardlink':
        return this.#hardLink(directory, name, entry)
      case 'symlink':
        this.#fresh(directory, name, () => symlinkSync(entry.link, bytes))
        lchown(bytes, entry.uid, entry.gid)
        return this.#finish(bytes, entry)
      default:
        this.#fresh(directory, name, () => {
          if (entry.type === 'fifo') return mkfifo(bytes, entry.mode)
          const type = entry.type === 'char' ? fileTypes.character : fileTypes.block
          mknod(bytes, type, entry.mode, makedev(entry.device.major, entry.device.minor))
        })
        chownSync(bytes, entry.uid, entry.gid)
        chmodSync(bytes, entry.mode)
        return this.#finish(bytes, entry)
    }
  }

  #directory(parent: TreeDirectory, name: string, entry: TarEntry): void {
    const bytes = parent.pathOf(name)
    const known = this.#tree.child(parent, name)
    if (!known) this.#fresh(parent, name, () => mkdirSync(bytes, { mode: 0o700 }))
    this.#dress(known ?? this.#tree.add(parent, name, entry.mtime), entry, known !== null)
  }

  #dress(directory: TreeDirectory, entry: TarEntry, existed: boolean): void {
    const { path } = directory
    if (existed) replaceXattrs(path, entry)
    chownSync(path, entry.uid, entry.gid)
    chmodSync(path, entry.mode)
    setXattrs(path, entry)
    directory.time = entry.mtime
  }

  #hardLink(directory: TreeDirectory, name: string, entry: TarEntry): void {
    const link = cleanPath(entry.link, this.#limits)
    const target = this.#tree.find(link.slice(0, -1))?.pathOf(link.at(-1) ?? '')
    const bytes = directory.pathOf(name)
    const facts = target && lstatSync(target, { bigint: true, throwIfNoEntry: false })
    if (!target || !facts)
      throw badName(entry.path, `it is a hard link to ${JSON.stringify(entry.link.toString())}, which is not there`)
    if (facts.isDirectory()) throw badName(entry.path, 'it is a hard link to a directory')
    try {
      linkSync(target, bytes)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      const there = lstatSync(bytes, { bigint: true, throwIfNoEntry: false })
      // It is that file already: replacing it could delete its last name.
      if (there?.ino === facts.ino && there.dev === facts.dev) return
      this.#remove(directory, name)
      if (!lstatSync(target, { throwIfNoEntry: false }))
        throw badName(entry.path, 'it takes the place of what it is a hard link to')
      linkSync(target, bytes)
    }
  }

  /** Runs `make`; when something is there already it goes first: the last entry of a name wins. */
  #fresh<Made>(directory: TreeDirectory, name: string, make: () => Made): Made {
    try {
      return make()
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      this.#remove(directory, name)
      return make()
    }
  }

  #remove(directory: TreeDirectory, name: string): void {
    removeTree(directory.pathOf(name))
    directory.children.delete(name)
  }

  #finish(bytes: Buffer, entry: TarEntry): void {
    setXattrs(bytes, entry)
    utimens(bytes, entry.mtime, entry.mtime)
  }
}
