import type { IdMap } from '../host/id-map.ts'
import type { MountSpec } from '../host/mount-spec.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { DraftId, SnapshotId } from './ids.ts'

/**
 * # Storage drivers
 *
 * A storage driver keeps trees of files. It knows no tar, no image and no digest.
 *
 * Vocabulary. A **draft** is a writable tree that one owner is changing. A **snapshot** is a committed tree that never
 * changes again. Each may stand on a parent snapshot, whose content it shows until it changes it. **Mounts are data**:
 * the driver says what to mount (`MountSpec`), the engine mounts it where it is needed.
 *
 * Life cycle. `prepare` makes a draft, `mounts` says again how to see it, `commit` turns it into a snapshot, `remove`
 * deletes either. `view` makes a draft that is only read.
 *
 * Worked example, an image of two layers and a container on it:
 *
 * ```ts
 * await driver.prepare(d1, null)   // mount, unpack layer 1
 * await driver.commit(d1, s1)
 * await driver.prepare(d2, s1)     // mount, unpack layer 2 upon layer 1
 * await driver.commit(d2, s2)
 * const mounts = await driver.prepare(c, s2)   // the container's root
 * await driver.remove(c)
 * ```
 *
 * Laws. A draft is never a parent. A committed snapshot never changes. `commit` consumes the draft. Removing a parent
 * fails with `conflict` and lists its children in `details.children`. `mounts` after a reopen equals `mounts` before.
 * Every method but `list` is atomic: after a SIGKILL at any instant the next `open` shows the state before or after.
 *
 * Common errors: `not_found` for an unknown id, `already_exists` for an id in use (of either kind), `failed_precondition`
 * after disposal, `resource_exhausted` when the disk is full, `unsupported` for a capability that is declared false.
 */
export interface StorageDriver extends AsyncDisposable {
  readonly name: string
  readonly capabilities: StorageCapabilities

  /** Makes an empty draft upon `parent`. Cost: constant (vfs: a copy of the parent). */
  prepare(draft: DraftId, parent: SnapshotId | null, options?: PrepareOptions): Promise<readonly MountSpec[]>
  /** Like `prepare`, for reading only: the mounts are read-only and `commit` of it fails. */
  view(draft: DraftId, parent: SnapshotId | null, options?: CallOptions): Promise<readonly MountSpec[]>
  /** How to mount an existing draft. */
  mounts(draft: DraftId, call?: CallOptions): Promise<readonly MountSpec[]>
  /** Where the draft's own changes lie, so that a diff need not walk the whole tree. */
  changes?(draft: DraftId, call?: CallOptions): Promise<ChangeHint>
  /** Turns the draft into a snapshot and makes it durable. The draft must not be mounted. */
  commit(draft: DraftId, as: SnapshotId, options?: CallOptions): Promise<void>
  /** Its content becomes a snapshot, and the draft goes on upon that (checkpoint, fork, commit of the living). */
  freeze?(draft: DraftId, as: SnapshotId, call?: CallOptions): Promise<void>
  /** Sets the draft's size limit in bytes (capability `quota`). */
  resize?(draft: DraftId, bytes: number, call?: CallOptions): Promise<void>
  /** Deletes; an unknown id is no error. A snapshot with children fails with `conflict`. */
  remove(id: DraftId | SnapshotId, call?: CallOptions): Promise<void>
  /** What the driver knows of a tree, without looking into it. */
  stat(id: DraftId | SnapshotId, call?: CallOptions): Promise<SnapshotInfo>
  /** What the id alone occupies, its parents not counted. Cost: a walk of its own files. */
  usage(id: DraftId | SnapshotId, call?: CallOptions): Promise<SnapshotUsage>
  /** All trees; those that come or go meanwhile may or may not be among them. */
  list(call?: CallOptions): AsyncIterable<SnapshotInfo>
  /** Looks whether the driver can do its work. */
  health(call?: CallOptions): Promise<StorageHealth>
  /** Gives unused space back to the host. */
  reclaim?(call?: CallOptions): Promise<{ readonly freedBytes: number | null }>
}

export interface PrepareOptions extends CallOptions {
  /**
   * Size limit in bytes (capability `quota`) of what the draft holds beyond its parent. Writing more fails with EDQUOT or
   * ENOSPC. The limit stays when the draft is mounted again, and ends with `commit`.
   */
  readonly quotaBytes?: number | undefined
  /**
   * Shows owners shifted (capability `idMap`), for a container in a user namespace: what is made in the draft by the owner
   * `shown` belongs to `onDisk` on disk, and layers need no copies with other owners. Stays with the draft. Since 1.1.
   */
  readonly idMap?: IdMap | undefined
  /**
   * The draft need not survive power loss: what programs in it fsync may stay in memory, and unmounting it writes
   * nothing back. A later commit is durable all the same. A wish; drivers that cannot use it ignore it.
   */
  readonly volatile?: boolean | undefined
}

/** What a driver can beyond the minimum. What is declared false is refused with `unsupported`. */
export interface StorageCapabilities {
  /** Longest stack of snapshots under a draft. */
  readonly maxDepth: number
  /** Drafts can have a size limit. */
  readonly quota: boolean
  /** For capabilities that are false on this machine only: what is missing, and what brings it. Since 1.1. */
  readonly reasons?: { readonly quota?: string; readonly idMap?: string }
  /** Mounts can shift owners (id-mapped mounts). */
  readonly idMap: boolean
  /** `freeze` costs about nothing. */
  readonly cloneDraft: boolean
  /** `changes` exists. */
  readonly changeHint: boolean
}

/** How a driver records a draft's own changes. */
export type ChangeHint =
  /** An overlay upper directory: 0/0 character devices and the xattrs `<prefix>opaque` and `<prefix>whiteout` mark deletions. */
  | {
      readonly format: 'overlay'
      readonly directory: string
      /** The parent's layers, topmost first. */
      readonly lower: readonly string[]
      /** `user.overlay.` inside user namespaces. */
      readonly xattrPrefix: 'trusted.overlay.' | 'user.overlay.'
    }
  /** Two whole trees to compare. */
  | { readonly format: 'trees'; readonly directory: string; readonly parent: string | null }

/** A tree as its driver knows it. */
export interface SnapshotInfo {
  readonly id: DraftId | SnapshotId
  readonly kind: 'draft' | 'view' | 'snapshot'
  readonly parent: SnapshotId | null
  readonly createdAt: Date
}

/** What a tree occupies by itself. */
export interface SnapshotUsage {
  readonly bytes: number
  readonly inodes: number
}

/** How well a driver is, for people. */
export interface StorageHealth {
  readonly state: 'good' | 'degraded' | 'failed'
  /** Sentences for people: what is wrong, what to do. */
  readonly messages: readonly string[]
  /** Shown by `Engine.info`: backing file system, d_type, native diff, ... */
  readonly facts: Readonly<Record<string, string>>
}
