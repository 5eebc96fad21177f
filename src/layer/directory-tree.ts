import { type BigIntStats, chmodSync, lstatSync, mkdirSync, readlinkSync } from 'node:fs'
import { utimens } from '../host/syscall/file.ts'
import { badName, type EntryPath, tooLong } from './entry-path.ts'
import type { LayerLimits } from './layer-limits.ts'
import type { TarTime } from './tar-entry.ts'

// The kernel's own number (path_resolution(7)).
const maxLinks = 40

/** A directory that is no link: what the writer knows of it. */
export class TreeDirectory {
  readonly name: string
  readonly parent: TreeDirectory | null
  /** Its path with a slash at the end; latin1 text, one character a byte. */
  readonly prefix: string
  readonly children = new Map<string, TreeDirectory>()
  /** The time it had when it was first seen. */
  readonly #before: TarTime
  /** What its time is to be in the end; null when it needs no help. */
  time: TarTime | null = null
  #written: Set<string> | null = null

  constructor(parent: TreeDirectory | null, name: string, before: TarTime) {
    this.name = name
    this.parent = parent
    this.prefix = parent ? `${parent.prefix}${name}/` : '/'
    this.#before = before
  }

  /** The path of something in it, as system calls take it. */
  pathOf(name: string): Buffer {
    return Buffer.from(this.prefix + name, 'latin1')
  }

  get path(): Buffer {
    return Buffer.from(this.parent ? this.prefix.slice(0, -1) : '/', 'latin1')
  }

  get depth(): number {
    return this.parent ? this.parent.depth + 1 : 0
  }

  /** Something in it comes or goes: its own time, which no entry has to say, stays what it was. */
  touch(): void {
    this.time ??= this.#before
  }

  /** Remembers that the layer itself has `name` here, and with it this directory and those above. */
  markWritten(name: string): void {
    if (this.#written?.has(name)) return
    this.#written ??= new Set()
    this.#written.add(name)
    this.parent?.markWritten(this.name)
  }

  isWritten(name: string): boolean {
    return this.#written?.has(name) ?? false
  }
}

/**
 * The directories of the tree at `/` that have been met so far, by their real paths: links in the middle of a name are
 * followed here, as the kernel would inside this root, so that no two names of a directory are taken for two.
 */
export class DirectoryTree {
  readonly #limits: LayerLimits
  readonly root: TreeDirectory

  constructor(limits: LayerLimits) {
    this.#limits = limits
    this.root = new TreeDirectory(null, '', timeOf(lstatSync('/', { bigint: true })))
  }

  /** The directory, or null when it is not there. */
  find(path: EntryPath): TreeDirectory | null {
    return this.#resolve(path, null)
  }

  /** The directory; what is missing of it is made as 0755 root with that time. */
  make(path: EntryPath, time: TarTime): TreeDirectory {
    return this.#resolve(path, time)!
  }

  /** The directory `name` when it is one and no link to one. */
  child(directory: TreeDirectory, name: string): TreeDirectory | null {
    const known = directory.children.get(name)
    if (known) return known
    const facts = lstatSync(directory.pathOf(name), { bigint: true, throwIfNoEntry: false })
    return facts?.isDirectory() ? this.add(directory, name, timeOf(facts)) : null
  }

  add(parent: TreeDirectory, name: string, before: TarTime): TreeDirectory {
    const made = new TreeDirectory(parent, name, before)
    if (made.depth > this.#limits.pathDepth) throw tooLong(made.path, 'components', made.depth, this.#limits.pathDepth)
    parent.children.set(name, made)
    return made
  }

  /** Sets the times that had to wait for the last entry. */
  finish(directory: TreeDirectory = this.root): void {
    for (const child of directory.children.values()) this.finish(child)
    if (directory.time) utimens(directory.path, directory.time, directory.time)
  }

  #resolve(path: EntryPath, time: TarTime | null): TreeDirectory | null {
    let at = this.root
    let links = 0
    const left = path.toReversed()
    for (let name = left.pop(); name !== undefined; name = left.pop()) {
      if (name === '' || name === '.') continue
      if (name === '..') {
        at = at.parent ?? at
        continue
      }
      const known = at.children.get(name)
      if (known) {
        at = known
        continue
      }
      const bytes = at.pathOf(name)
      const facts = lstatSync(bytes, { bigint: true, throwIfNoEntry: false })
      if (facts?.isSymbolicLink()) {
        if (++links > maxLinks) throw badName(path.join('/'), 'there are too many links above it')
        const target = readlinkSync(bytes, 'latin1')
        if (target.startsWith('/')) at = this.root
        left.push(...target.split('/').reverse())
      } else if (facts) {
        if (!facts.isDirectory()) throw badName(path.join('/'), `${bytes} above it is no directory`)
        at = this.add(at, name, timeOf(facts))
      } else if (time) at = this.#makeMissing(at, name, bytes, time)
      else return null
    }
    return at
  }

  #makeMissing(parent: TreeDirectory, name: string, bytes: Buffer, time: TarTime): TreeDirectory {
    parent.touch()
    mkdirSync(bytes, { mode: 0o700 })
    chmodSync(bytes, 0o755)
    parent.markWritten(name)
    const made = this.add(parent, name, time)
    made.touch()
    return made
  }
}

export function timeOf({ mtimeNs }: BigIntStats): TarTime {
  const nanoseconds = ((mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  return { seconds: Number((mtimeNs - nanoseconds) / 1_000_000_000n), nanoseconds: Number(nanoseconds) }
}
