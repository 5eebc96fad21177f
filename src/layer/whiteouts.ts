import { readdirSync } from 'node:fs'
import type { DirectoryTree, TreeDirectory } from './directory-tree.ts'
import { badName, type EntryPath } from './entry-path.ts'
import { removeTree } from './remove-tree.ts'

export const whiteoutPrefix = '.wh.'
export const opaqueMarker = '.wh..wh..opq'

/** What a name says besides being a file. Source: OCI image-spec, layer.md, "Whiteouts". */
export type Marker =
  | { readonly kind: 'file' }
  | { readonly kind: 'opaque'; readonly directory: EntryPath }
  | { readonly kind: 'deleted'; readonly directory: EntryPath; readonly name: string }
  | { readonly kind: 'ignored' }

export function readMarker(path: EntryPath): Marker {
  const name = path.at(-1)
  if (name === undefined || !name.startsWith(whiteoutPrefix)) return { kind: 'file' }
  const directory = path.slice(0, -1)
  if (name === opaqueMarker) return { kind: 'opaque', directory }
  // AUFS' own bookkeeping: .wh..wh.plnk, .wh..wh.aufs, ...
  if (name.startsWith('.wh..wh.')) return { kind: 'ignored' }
  const target = name.slice(whiteoutPrefix.length)
  if (target === '' || target === '.' || target === '..') throw badName(path.join('/'), 'a whiteout must name a file')
  return { kind: 'deleted', directory, name: target }
}

/**
 * Deletes of a directory what the layer did not write itself. Markers speak of the layers below only, wherever in the tar
 * they stand, so that what this layer wrote, before or after them, stays.
 */
export function deleteLower(tree: DirectoryTree, directory: TreeDirectory, name: string): void {
  if (directory.isWritten(name)) {
    const child = tree.child(directory, name)
    if (child) clearLower(tree, child)
    return
  }
  directory.touch()
  removeTree(directory.pathOf(name))
  directory.children.delete(name)
}

/** Empties a directory of what lies below. */
export function clearLower(tree: DirectoryTree, directory: TreeDirectory): void {
  for (const name of readdirSync(directory.path, { encoding: 'latin1' })) deleteLower(tree, directory, name)
}
