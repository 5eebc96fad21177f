/**
 * `use`: names in the file mean their digests; what is pulled by another name is added. `frozen`: other names are
 * refused. `update`: tags are asked for anew, and the file is rewritten.
 */
export type ImageLockMode = 'use' | 'update' | 'frozen'

export const imageLockModes: readonly ImageLockMode[] = ['use', 'update', 'frozen']

/** Where names are pinned to digests. */
export interface ImageLockOptions {
  /** A JSON file, made when it is missing. A relative path begins at the current directory. */
  readonly file: string
  /** Default `use`. */
  readonly mode?: ImageLockMode
}
