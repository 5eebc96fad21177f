import { defineErrors } from './family.ts'

/** Failures of unpacking and packing layers and trees. */
export const layerErrors = defineErrors('layer', {
  malformed: {
    kind: 'data_loss',
    help: 'The tar is damaged: a header or extended header does not say what the format demands.',
  },
  truncated: { kind: 'data_loss', help: 'The tar or its compressed stream ends in the middle. Get it again.' },
  bad_compression: { kind: 'data_loss', help: 'The compressed stream is damaged. Get it again.' },
  diff_id_mismatch: { kind: 'data_loss', help: 'The unpacked bytes are not those that the image configuration names.' },
  bad_entry: { kind: 'invalid_argument', help: 'An entry cannot be made: its name, link or place is impossible.' },
  unsupported_entry: { kind: 'unsupported', help: 'The tar has an entry of a type that layers do not have.' },
  limit_exceeded: {
    kind: 'resource_exhausted',
    help: 'The layer is larger than a limit; the message names it. Raise the limit if you trust the source.',
  },
  apply_failed: { kind: 'internal', help: 'The kernel refused to make an entry; the cause says why.' },
  disk_full: { kind: 'resource_exhausted', help: 'The disk is full. Free space and load the image again.' },
  worker_lost: { kind: 'internal', help: 'The thread that unpacks ended by itself.' },
})
