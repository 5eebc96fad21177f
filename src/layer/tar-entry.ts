export type TarEntryType = 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'directory' | 'fifo'

/** A time as tars hold it. */
export interface TarTime {
  readonly seconds: number
  readonly nanoseconds: number
}

/** One stretch of a sparse file that has data. */
export interface SparseExtent {
  readonly offset: number
  readonly length: number
}

/** One entry of a tar; names are bytes, exactly as they stand there. */
export interface TarEntry {
  readonly type: TarEntryType
  readonly path: Buffer
  /** Target of a link; empty otherwise. */
  readonly link: Buffer
  /** Permissions with setuid, setgid and sticky. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes of the file, holes included. */
  readonly size: number
  readonly mtime: TarTime
  readonly device: { readonly major: number; readonly minor: number }
  readonly xattrs: ReadonlyMap<string, Buffer>
  /** Where the data that follows belongs; null for a file without holes. */
  readonly sparse: readonly SparseExtent[] | null
}

/** An empty file of root's without a name, with no time of its own. */
export const emptyEntry: TarEntry = {
  type: 'file',
  path: Buffer.alloc(0),
  link: Buffer.alloc(0),
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  device: { major: 0, minor: 0 },
  xattrs: new Map(),
  sparse: null,
}

/** Takes a tar apart as it comes: an entry, its data in pieces, its end. */
export interface TarVisitor {
  entry(entry: TarEntry): void
  /** Never empty; only between `entry` and `end` of a file. The buffer is the caller's: copy what is kept. */
  data(chunk: Buffer): void
  end(): void
}
