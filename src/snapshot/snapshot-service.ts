import type { DraftId, SnapshotId } from '../driver-kit/ids.ts'
import type { ChangeHint, SnapshotUsage, StorageCapabilities, StorageHealth } from '../driver-kit/storage-driver.ts'
import type { MountSpec } from '../host/mount-spec.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'

/** One layer of an image, lowest first in a chain. */
export interface ChainLayer {
  readonly diffId: Digest
  readonly chainId: Digest
}

/** Unpacks layer `index` into the tree that `mounts` describe; what it mounted must be unmounted when it settles. */
export type ApplyLayer = (index: number, mounts: readonly MountSpec[], signal: AbortSignal | undefined) => Promise<void>

export interface EnsureChainOptions extends CallOptions {
  /** Id of a content lease: the chain's snapshots are added to it, so that a collection leaves them alone. */
  readonly lease?: string | undefined
}

export interface CreateDraftOptions extends CallOptions {
  /** `container`: a container's root; `layer`: being unpacked; `view`: only read. */
  readonly kind: 'container' | 'layer' | 'view'
  /** Owner id of whoever works on it. See `sweep` for what its death means. */
  readonly owner: string
  /** Size limit in bytes; needs the capability `quota`. */
  readonly quotaBytes?: number | undefined
  /** The record survives power loss. Default false: it survives SIGKILL of any process. */
  readonly durable?: boolean | undefined
}

/** A tree that is only read. Disposal removes the draft; unmount it before. */
export interface SnapshotView extends AsyncDisposable {
  readonly id: DraftId
  readonly mounts: readonly MountSpec[]
}

/** What trees are there for. */
export interface NeededTrees {
  /** Chain ids of images. */
  readonly chains: ReadonlySet<string>
  /** Ids of recorded containers. */
  readonly containers: ReadonlySet<string>
  /** Ids of containers that cannot be recorded and whose trees are left alone all the same. */
  readonly spared: ReadonlySet<string>
}

export interface CheckStorageOptions extends CallOptions {
  readonly repair?: boolean | undefined
  /**
   * Trees that are needed although their records may be lost: they are recorded again instead of removed.
   */
  readonly needed?: NeededTrees | undefined
}

/** What `check` found: records and driver compared. */
export interface StorageProblem {
  readonly kind: 'missing_snapshot' | 'unknown_snapshot' | 'missing_draft' | 'unknown_draft' | 'wrong_parent'
  readonly id: string
  readonly message: string
  readonly repaired: boolean
}

/** What an engine does with trees: chains of layers and drafts upon them, on one storage driver. */
export interface SnapshotService extends AsyncDisposable {
  /** Name of the driver, and what was found out about the machine when it was chosen. */
  readonly driver: string
  readonly facts: Readonly<Record<string, string>>
  readonly capabilities: StorageCapabilities
  hasChain(chainId: Digest): boolean
  /**
   * Makes every missing link of a chain: draft, `apply`, commit. Each link is made once, also when several processes
   * want it at the same time. What a failure or abort leaves half made is removed; finished links stay.
   */
  ensureChain(layers: readonly ChainLayer[], apply: ApplyLayer, options?: EnsureChainOptions): Promise<void>
  /** `parent` is a chain id, or null for an empty tree. */
  createDraft(id: string, parent: Digest | null, options: CreateDraftOptions): Promise<readonly MountSpec[]>
  draftMounts(id: string, call?: CallOptions): Promise<readonly MountSpec[]>
  /** Idempotent. */
  removeDraft(id: string, options?: CallOptions & { readonly durable?: boolean | undefined }): Promise<void>
  view(chainId: Digest | null, options: CallOptions & { readonly owner: string }): Promise<SnapshotView>
  /** `null` when the driver has no hint; then compare the mounted trees. */
  changes(draft: string, call?: CallOptions): Promise<ChangeHint | null>
  usage(id: string, call?: CallOptions): Promise<SnapshotUsage>
  health(call?: CallOptions): Promise<StorageHealth>
  /** Removes snapshots that no kept chain, draft or lease needs; gives back their chain ids. */
  removeUnused(keep: ReadonlySet<string>, call?: CallOptions): Promise<readonly string[]>
  /**
   * Removes those of the snapshots that no image, draft, snapshot or lease needs; children come before their parents.
   * `busy`: somebody is at work on them. Their files are deleted after that.
   */
  removeIfUnused(
    ids: readonly string[],
    call?: CallOptions,
  ): Promise<{ readonly removed: readonly string[]; readonly busy: readonly string[] }>
  /** Removes what dead owners left half made, and container drafts that no container record names. */
  sweep(deadOwners: readonly string[], call?: CallOptions): Promise<readonly string[]>
  check(options?: CheckStorageOptions): Promise<readonly StorageProblem[]>
  /** Removes every draft and snapshot of this driver. Nothing of it may be mounted or in use. */
  reset(call?: CallOptions): Promise<void>
}

export type { DraftId, SnapshotId }
