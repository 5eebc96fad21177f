import { type BigIntStats, closeSync, constants, openSync, readSync } from 'node:fs'
import type { ChangeVisitor, PresentChange } from './change-visitor.ts'
import { HardLinks } from './hard-links.ts'
import { joinBytes, nameIn, rootName, sortedNames } from './pack-tree.ts'
import { entryOf, sameButTime, sameEntry, statBytes } from './tree-entry.ts'

/**
 * Tells what differs between two whole trees: type, mode, owner, size, time, target, attributes, hard links. Content is
 * compared where times have no fraction of a second, since those were set by tools and say little. Directories above a
 * change are told too. `check` is called before each file, and throws when nothing more is to be read.
 */
export function visitTreeChanges(older: Buffer | null, newer: Buffer, visitor: ChangeVisitor, check: () => void): void {
  const links = { before: new HardLinks(), after: new HardLinks() }
  // Directories above the place of the walk that have not been told.
  let untold: PresentChange[] = []
  const tell = (change: PresentChange | null) => {
    for (const above of untold) visitor.present(above)
    untold = []
    if (change) visitor.present(change)
  }

  const visit = (before: { path: Buffer; facts: BigIntStats } | null, path: Buffer, inTar: Buffer) => {
    check()
    const facts = statBytes(path)
    const entry = entryOf(inTar, path, facts)
    const olderEntry = before && entryOf(inTar, before.path, before.facts)
    const name = inTar
    if (!entry) {
      // One socket is like another.
      if (!before?.facts.isSocket())
        tell({ kind: before ? 'modified' : 'added', name, path, older: before?.path ?? null, entry: null })
      return
    }
    const sameLink = !before || sameName(links.before.firstName(before.facts), links.after.firstName(facts))
    const change: PresentChange = {
      kind: before ? 'modified' : 'added',
      name,
      path,
      older: before?.path ?? null,
      entry: links.after.resolve(entry, facts),
    }
    const same =
      olderEntry && before && sameLink && sameEntry(olderEntry, entry) && sameContent(before.path, path, facts)
    if (olderEntry && before) links.before.met(olderEntry, before.facts)
    links.after.met(entry, facts)
    if (!same) tell(change)
    if (entry.type !== 'directory') return
    if (same) untold.push(change)
    walk(olderEntry?.type === 'directory' && before ? before.path : null, path, inTar)
    untold = untold.filter((above) => above !== change)
  }

  const walk = (before: Buffer | null, after: Buffer, prefix: Buffer | null) => {
    const old = new Map((before ? sortedNames(before) : []).map((name) => [name.toString('latin1'), name]))
    for (const name of sortedNames(after)) {
      const key = name.toString('latin1')
      const oldPath = before && old.has(key) ? joinBytes(before, name) : null
      visit(oldPath && { path: oldPath, facts: statBytes(oldPath) }, joinBytes(after, name), nameIn(prefix, name))
      old.delete(key)
    }
    for (const name of old.values()) {
      tell(null)
      visitor.deleted(nameIn(prefix, name), false)
    }
  }

  const root = entryOf(rootName, newer, statBytes(newer))
  const oldRoot = older && entryOf(rootName, older, statBytes(older))
  if (root && !(oldRoot && sameButTime(oldRoot, root)))
    visitor.present({ kind: oldRoot ? 'modified' : 'added', name: rootName, path: newer, older, entry: root })
  walk(older, newer, null)
}

const sameName = (a: Buffer | null, b: Buffer | null): boolean => (a && b ? a.equals(b) : a === b)

function sameContent(before: Buffer, after: Buffer, facts: BigIntStats): boolean {
  if (!facts.isFile() || facts.size === 0n || facts.mtimeNs % 1_000_000_000n !== 0n) return true
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NOATIME
  const [a, b] = [openSync(before, flags), openSync(after, flags)]
  try {
    const [left, right] = [Buffer.allocUnsafeSlow(1 << 20), Buffer.allocUnsafeSlow(1 << 20)]
    for (let at = 0; ; ) {
      const read = readSync(a, left, 0, left.length, at)
      // A local file gives all it has but at its end.
      if (read !== readSync(b, right, 0, right.length, at)) return false
      if (read === 0) return true
      if (!left.subarray(0, read).equals(right.subarray(0, read))) return false
      at += read
    }
  } finally {
    closeSync(a)
    closeSync(b)
  }
}
