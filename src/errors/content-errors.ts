import { defineErrors } from './family.ts'

/** Failures of the blob store. */
export const contentErrors = defineErrors('content', {
  not_found: { kind: 'not_found', help: 'The blob is not in the store. Load or pull its image again.' },
  digest_mismatch: {
    kind: 'data_loss',
    help: 'The bytes are not what their digest says: the source is damaged or lies. Fetch it again.',
  },
  size_mismatch: { kind: 'data_loss', help: 'The source is shorter or longer than announced. Fetch it again.' },
  damaged: {
    kind: 'data_loss',
    help: 'A stored blob changed or vanished on disk. Load or pull its image again; look at the disk.',
  },
  bad_json: { kind: 'data_loss', help: 'A blob that must be JSON is not. The image was built wrongly or is damaged.' },
  too_large: { kind: 'resource_exhausted', help: 'The blob is larger than the limit for its kind.' },
  full: { kind: 'resource_exhausted', help: 'The disk of the data root is full. Free space, then try again.' },
  write_failed: { kind: 'unavailable', help: 'The store could not be written; the cause says why.' },
})
