declare const kind: unique symbol

/** A string that names one kind of thing and cannot be mixed up with another kind's. */
export type Id<Kind extends string> = string & { readonly [kind]: Kind }

/** 64 hex digits. */
export type ContainerId = Id<'container'>
/** A writable tree that is being changed. */
export type DraftId = Id<'draft'>
/** A committed tree: the chain id of a stack of layers, or a checkpoint. */
export type SnapshotId = Id<'snapshot'>
/** 64 hex digits. */
export type NetworkId = Id<'network'>
/** One container on one network; 64 hex digits. */
export type EndpointId = Id<'endpoint'>
