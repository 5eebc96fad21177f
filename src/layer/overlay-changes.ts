import { type BigIntStats, lstatSync } from 'node:fs'
import { layerErrors } from '../errors/layer-errors.ts'
import { lgetxattr } from '../host/syscall/xattr.ts'
import type { ChangeVisitor } from './change-visitor.ts'
import { HardLinks } from './hard-links.ts'
import { joinBytes, nameIn, rootName, sortedNames } from './pack-tree.ts'
import { entryOf, sameButTime, statBytes } from './tree-entry.ts'

type XattrPrefix = 'trusted.overlay.' | 'user.overlay.'

/** A directory of the upper tree on the walk. */
interface Place {
  readonly path: Buffer
  readonly inTar: Buffer | null
  /** The same directory of the lower trees; null when there is none. */
  readonly older: Buffer | null
  /** An opaque directory is above, or it is one. */
  readonly covered: boolean
}

/**
 * Tells what an overlay's upper directory changes of the tree below: 0/0 devices and files marked `whiteout` are
 * deletions, directories marked `opaque` show nothing of the older ones. `check` is called before each file, and throws
 * when nothing more is to be read. Source: kernel, filesystems/overlayfs.rst.
 */
export function visitOverlayChanges(
  older: Buffer | null,
  upper: Buffer,
  prefix: XattrPrefix,
  visitor: ChangeVisitor,
  check: () => void,
): void {
  const links = new HardLinks()
  visitRoot(older, upper, prefix, visitor)

  const visit = (place: Place, name: Buffer) => {
    check()
    const path = joinBytes(place.path, name)
    const facts = statBytes(path)
    const inTar = nameIn(place.inTar, name)
    const olderPath = place.older && joinBytes(place.older, name)
    const before = olderPath && lstatSync(olderPath, { bigint: true, throwIfNoEntry: false })
    if (isWhiteout(path, facts, prefix)) {
      if (before) visitor.deleted(inTar, place.covered)
      return
    }
    refuseIncomplete(path, facts, prefix)
    const entry = entryOf(inTar, path, facts, prefix)
    visitor.present({
      kind: before ? 'modified' : 'added',
      name: inTar,
      path,
      older: before ? olderPath : null,
      entry: entry && links.resolve(entry, facts),
    })
    if (entry) links.met(entry, facts)
    if (!facts.isDirectory()) return
    const olderDirectory = before?.isDirectory() ? olderPath : null
    const opaque = lgetxattr(path, `${prefix}opaque`)?.[0] === 0x79
    // A directory that hides nothing needs no marker.
    if (opaque && !place.covered && olderDirectory && sortedNames(olderDirectory).length > 0) visitor.opaque(inTar)
    walk({ path, inTar, older: olderDirectory, covered: place.covered || opaque })
  }

  const walk = (place: Place) => {
    const names = sortedNames(place.path)
    for (const name of names) visit(place, name)
    if (!place.covered || !place.older) return
    const present = new Set(names.map((name) => name.toString('latin1')))
    for (const name of sortedNames(place.older))
      if (!present.has(name.toString('latin1'))) visitor.deleted(nameIn(place.inTar, name), true)
  }

  walk({ path: upper, inTar: null, older, covered: false })
}

// The driver makes the upper root like the older one, so its time says nothing.
function visitRoot(older: Buffer | null, upper: Buffer, prefix: XattrPrefix, visitor: ChangeVisitor): void {
  const entry = entryOf(rootName, upper, statBytes(upper), prefix)
  const before = older && entryOf(rootName, older, statBytes(older), prefix)
  if (entry && !(before && sameButTime(before, entry)))
    visitor.present({ kind: before ? 'modified' : 'added', name: rootName, path: upper, older, entry })
}

const isWhiteout = (path: Buffer, facts: BigIntStats, prefix: XattrPrefix): boolean =>
  (facts.isCharacterDevice() && facts.rdev === 0n) ||
  (facts.isFile() && facts.size === 0n && lgetxattr(path, `${prefix}whiteout`) !== null)

// Our mounts have both features off; a tree that was mounted by others may hold such.
function refuseIncomplete(path: Buffer, facts: BigIntStats, prefix: XattrPrefix): void {
  const mark = facts.isDirectory() ? 'redirect' : facts.isFile() ? 'metacopy' : null
  if (mark && lgetxattr(path, prefix + mark) !== null)
    throw layerErrors.error('unsupported_entry', {
      message: `${path} has an overlay ${mark} mark: its content lies elsewhere. Mount overlays with ${mark === 'redirect' ? 'redirect_dir' : 'metacopy'} off.`,
    })
}
