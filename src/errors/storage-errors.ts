import { defineErrors } from './family.ts'

/** Failures of storage drivers; shipped and foreign drivers use the same codes. */
export const storageErrors = defineErrors('storage', {
  not_found: { kind: 'not_found', help: 'The storage driver has no draft or snapshot of this id.' },
  already_exists: { kind: 'already_exists', help: 'A draft or snapshot of this id exists already.' },
  has_children: {
    kind: 'conflict',
    help: 'Drafts or snapshots stand upon this snapshot; `details.children` lists them. Remove them first.',
  },
  not_a_draft: { kind: 'invalid_argument', help: 'The call takes a draft, and the id names a snapshot or a view.' },
  not_a_snapshot: { kind: 'invalid_argument', help: 'The call takes a snapshot, and the id names a draft.' },
  bad_id: {
    kind: 'invalid_argument',
    help: 'Ids are 1 to 200 letters, digits, `_`, `.`, `:`, `-`, and start with a letter or digit.',
  },
  too_deep: {
    kind: 'failed_precondition',
    help: 'The stack of snapshots is longer than the driver can mount. Use an image with fewer layers, or driver vfs.',
  },
  disk_full: {
    kind: 'resource_exhausted',
    help: 'The disk or the quota of the storage directory is full. Free space and try again.',
  },
  unsupported: { kind: 'unsupported', help: 'The storage driver declares that it cannot do this.' },
  no_quota: {
    kind: 'unsupported',
    help: 'The file system of the data root does not limit what directories occupy. The message says which mount option or feature is missing.',
  },
  newer_format: {
    kind: 'failed_precondition',
    help: 'The storage directory was written by a newer version. Use that version, or another root.',
  },
  corrupt: {
    kind: 'data_loss',
    help: 'A record of the storage driver cannot be read. `check` with repair removes it; images can be loaded again.',
  },
  driver_failed: {
    kind: 'internal',
    help: 'A storage driver failed with an error that is not one of ours; the cause holds it.',
  },
  unknown_driver: { kind: 'invalid_argument', help: 'No storage driver of this name is registered.' },
  removed_driver: {
    kind: 'unsupported',
    help: 'The driver exists elsewhere but not here; the message says why and names its successor.',
  },
  other_driver: {
    kind: 'conflict',
    help: 'The root holds images or containers of another storage driver. Leave `storage.driver` out, or use another root.',
  },
  unusable_driver: {
    kind: 'failed_precondition',
    help: 'The chosen storage driver cannot work on this machine. The message lists what it lacks and what brings it.',
  },
  none_usable: {
    kind: 'failed_precondition',
    help: 'No storage driver works on this machine. The message lists what each one lacks.',
  },
  ambiguous_driver: {
    kind: 'failed_precondition',
    help: 'The root holds data of several storage drivers. Name the one to use in the option `storage.driver`.',
  },
})
