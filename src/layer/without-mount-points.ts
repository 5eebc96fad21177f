import type { ChangeVisitor, PresentChange } from './change-visitor.ts'
import { entryOf, sameButTime, statBytes } from './tree-entry.ts'

/**
 * Leaves out what was made in a tree only to mount something upon it: empty files and directories at the mount points,
 * the directories that were made on the way to them, and those of which only the time has changed for that.
 */
export class WithoutMountPoints implements ChangeVisitor {
  readonly #inner: ChangeVisitor
  /** Names as they stand in a tar; latin1 text, one character a byte. */
  readonly #points: ReadonlySet<string>
  /** The points and the directories above them. */
  readonly #onTheWay = new Set<string>()
  /** Directories above the place of the walk that are told with the first change in them. */
  #held: PresentChange[] = []

  constructor(inner: ChangeVisitor, mountPoints: readonly string[]) {
    this.#inner = inner
    const names = mountPoints.map((path) =>
      Buffer.from(path)
        .toString('latin1')
        .replace(/^\/+|\/+$/g, ''),
    )
    this.#points = new Set(names)
    for (const name of names)
      for (let end = name.length; end > 0; end = name.lastIndexOf('/', end - 1)) this.#onTheWay.add(name.slice(0, end))
  }

  present(change: PresentChange): void {
    const name = change.name.toString('latin1')
    if (this.#points.has(name) && change.kind === 'added' && change.entry?.type === 'file' && change.entry.size === 0)
      return
    this.#leave(name)
    if (this.#onTheWay.has(name) && change.entry?.type === 'directory' && isSame(change)) this.#held.push(change)
    else {
      this.#tellHeld()
      this.#inner.present(change)
    }
  }

  deleted(name: Buffer, covered: boolean): void {
    this.#leave(name.toString('latin1'))
    this.#tellHeld()
    this.#inner.deleted(name, covered)
  }

  opaque(directory: Buffer): void {
    this.#tellHeld()
    this.#inner.opaque(directory)
  }

  /** Forgets what the walk has left behind without a change. */
  #leave(name: string): void {
    this.#held = this.#held.filter((above) => name.startsWith(`${above.name.toString('latin1')}/`))
  }

  #tellHeld(): void {
    for (const above of this.#held) this.#inner.present(above)
    this.#held = []
  }
}

/** New, or as it was but for its time. */
function isSame({ older, entry }: PresentChange): boolean {
  if (!older) return true
  const before = entryOf(Buffer.alloc(0), older, statBytes(older))
  return before !== null && entry !== null && sameButTime(before, entry)
}
