import { lstatSync, readdirSync } from 'node:fs'
import { badName, type EntryPath, pathBytes, pathKey } from './entry-path.ts'
import { removeTree } from './remove-tree.ts'

const prefix = '.wh.'
const opaque = '.wh..wh..opq'

/** What a name says besides being a file. Source: OCI image-spec, layer.md, "Whiteouts". */
export type Marker =
  | { readonly kind: 'file' }
  | { readonly kind: 'opaque'; readonly directory: EntryPath }
  | { readonly kind: 'deleted'; readonly path: EntryPath }
  | { readonly kind: 'ignored' }

export function readMarker(path: EntryPath): Marker {
  const name = path.at(-1)
  if (name === undefined || !name.startsWith(prefix)) return { kind: 'file' }
  const directory = path.slice(0, -1)
  if (name === opaque) return { kind: 'opaque', directory }
  // AUFS' own bookkeeping: .wh..wh.plnk, .wh..wh.aufs, ...
  if (name.startsWith('.wh..wh.')) return { kind: 'ignored' }
  const target = name.slice(prefix.length)
  if (target === '' || target === '.' || target === '..') throw badName(pathKey(path), 'a whiteout must name a file')
  return { kind: 'deleted', path: [...directory, target] }
}

/**
 * Deletes of a tree what the layer did not write itself. Markers speak of the layers below only, wherever in the tar they
 * stand, so that what this layer wrote, before or after them, stays.
 */
export class LowerDeletion {
  /** Paths this layer wrote, with all the directories above them. */
  readonly #written = new Set<string>()

  wrote(path: EntryPath): void {
    for (let depth = path.length; depth > 0; depth--) {
      const key = pathKey(path.slice(0, depth))
      if (this.#written.has(key)) return
      this.#written.add(key)
    }
  }

  delete(path: EntryPath): void {
    if (!this.#written.has(pathKey(path))) removeTree(pathBytes(path))
    else this.clear(path)
  }

  /** Empties a directory of what lies below; anything else than a directory stays. */
  clear(directory: EntryPath): void {
    const bytes = pathBytes(directory)
    if (!lstatSync(bytes, { throwIfNoEntry: false })?.isDirectory()) return
    for (const name of readdirSync(bytes, { encoding: 'latin1' })) this.delete([...directory, name])
  }
}
