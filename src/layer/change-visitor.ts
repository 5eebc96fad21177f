import type { TarEntry } from './tar-entry.ts'

/** A file that a tree has and the older one has not, or not like this. */
export interface PresentChange {
  readonly kind: 'added' | 'modified'
  readonly name: Buffer
  /** Where it is. */
  readonly path: Buffer
  /** Where the older one is; null when there was none. */
  readonly older: Buffer | null
  /** As a tar is to hold it; null for sockets, which tars do not hold. */
  readonly entry: TarEntry | null
}

/** Is told how a tree differs from an older one, directories before what is in them. */
export interface ChangeVisitor {
  present(change: PresentChange): void
  /** `covered`: a directory above it has been told to be opaque. */
  deleted(name: Buffer, covered: boolean): void
  /** Nothing of the older directory shows. */
  opaque(directory: Buffer): void
}
