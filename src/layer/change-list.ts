import type { ChangeVisitor, PresentChange } from './change-visitor.ts'
import { rootName } from './pack-tree.ts'

/** One line of what `docker diff` shows. */
export interface TreeChange {
  readonly kind: 'added' | 'modified' | 'deleted'
  /** Absolute path in the tree; bytes that are no UTF-8 are replaced. */
  readonly path: string
}

/** Collects changes, in the order of their paths' bytes. */
export class ChangeList implements ChangeVisitor {
  readonly #found: { readonly kind: TreeChange['kind']; readonly name: Buffer }[] = []

  present({ kind, name }: PresentChange): void {
    if (!name.equals(rootName)) this.#found.push({ kind, name })
  }

  deleted(name: Buffer): void {
    this.#found.push({ kind: 'deleted', name })
  }

  opaque(): void {
    // What it hides is told one by one.
  }

  sorted(): TreeChange[] {
    return this.#found
      .sort((a, b) => Buffer.compare(a.name, b.name))
      .map(({ kind, name }) => ({ kind, path: `/${name}` }))
  }
}
