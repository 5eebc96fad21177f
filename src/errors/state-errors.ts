import { defineErrors } from './family.ts'

/** Failures of the data root and its records. */
export const stateErrors = defineErrors('state', {
  newer_format: {
    kind: 'failed_precondition',
    help: 'The data root was written by a newer tscontainer. Use that version, or another root.',
  },
  not_a_root: {
    kind: 'failed_precondition',
    help: 'The directory is not empty and is not a data root. Name an empty or new directory.',
  },
  network_filesystem: {
    kind: 'unsupported',
    help: 'Locks and renames on network file systems are not reliable enough. Put the root on a local disk.',
  },
  corrupt: {
    kind: 'data_loss',
    help: 'state.db is damaged or gone. Run `tscontainer check --repair` (Engine.repair), which keeps the damaged file and builds the records anew from what is on disk.',
  },
  rebuilding: {
    kind: 'failed_precondition',
    help: 'The records are being built anew, or that was interrupted. Run `tscontainer check --repair` (Engine.repair) to its end.',
  },
  in_use: {
    kind: 'conflict',
    help: 'Records can be built anew only while no engine has the root open. Close the processes named in the message.',
  },
  unusable_root: { kind: 'permission_denied', help: 'The root cannot be made, read or written. The cause says why.' },
  full: { kind: 'resource_exhausted', help: 'The disk of the data root is full. Free space; removals still work.' },
  busy: { kind: 'unavailable', help: 'Another process kept the records locked for 20 s. Try again.' },
})
