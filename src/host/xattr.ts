/** Extended attributes; paths and names are bytes or UTF-8 text, symlinks are never followed. Source: xattr(7). */
export interface Xattrs {
  /** Names of all attributes. */
  list(path: string | Uint8Array): readonly string[]
  /** `null` when the file has no such attribute. */
  get(path: string | Uint8Array, name: string): Uint8Array | null
  /** Makes the attribute or replaces its value. */
  set(path: string | Uint8Array, name: string, value: Uint8Array): void
  /** A missing attribute is no error. */
  remove(path: string | Uint8Array, name: string): void
}
