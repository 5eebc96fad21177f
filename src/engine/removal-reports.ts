import type { Duration } from '../container/duration.ts'
import type { ContainerId } from '../driver-kit/ids.ts'
import type { LabelFilter } from '../image/image-filter.ts'
import type { Digest } from '../oci/digest.ts'

/** How to remove an image. */
export interface RemoveImageOptions {
  /** Passes over stopped containers, and over several names when the image was named by its id. Default false. */
  readonly force?: boolean | undefined
  /** Keeps images without a tag that the removed one was made from. Default false: they go, too. */
  readonly noPrune?: boolean | undefined
}

/** What a removal took away. */
export interface RemoveImageReport {
  /** Names that are gone. */
  readonly untagged: readonly string[]
  /** Ids of images that are gone. */
  readonly deleted: readonly Digest[]
  /** Bytes of blobs and of unpacked files that nothing else needed. */
  readonly spaceReclaimed: number
}

/** Which images to prune; conditions of several fields must all hold. */
export interface ImagePruneFilter {
  /** Also images with tags that no container was made from. Default false: only dangling ones. */
  readonly all?: boolean | undefined
  readonly labels?: LabelFilter | undefined
  /** Built before this time, or longer ago than this: milliseconds or text such as `24h`. */
  readonly until?: Date | Duration | undefined
}

/** What pruning images took away. */
export type ImagesPruneReport = RemoveImageReport

/** Which stopped containers to prune; conditions of several fields must all hold. */
export interface ContainerPruneFilter {
  readonly labels?: LabelFilter | undefined
  /** Made before this time, or longer ago than this: milliseconds or text such as `24h`. */
  readonly until?: Date | Duration | undefined
}

/** What pruning containers took away. */
export interface ContainersPruneReport {
  readonly deleted: readonly ContainerId[]
  /** Bytes of the files that they had written into their roots. */
  readonly spaceReclaimed: number
}
