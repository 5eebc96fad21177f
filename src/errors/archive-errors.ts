import { defineErrors } from './family.ts'

/** Failures of reading and writing image archives. */
export const archiveErrors = defineErrors('archive', {
  not_found: { kind: 'not_found', help: 'There is no file or directory at the given path.' },
  unreadable: { kind: 'permission_denied', help: 'The archive could not be read; the cause says why.' },
  not_an_archive: {
    kind: 'invalid_argument',
    help: 'Neither a `docker save` tarball nor an OCI layout or archive. For a root file system use `importRootfs`.',
  },
  unsupported_image: {
    kind: 'unsupported',
    help: 'The archive holds something that no container can be made from: an artifact, encrypted or foreign layers.',
  },
  truncated: { kind: 'data_loss', help: 'The archive ends too early. Make or copy it again.' },
  corrupt: { kind: 'data_loss', help: 'The archive breaks its format. Make or copy it again.' },
  digest_mismatch: {
    kind: 'data_loss',
    help: 'A file of the archive is not what its digest says. Make or copy it again.',
  },
  missing_file: { kind: 'data_loss', help: 'The archive names a file that it does not hold.' },
  unsafe_path: { kind: 'invalid_argument', help: 'The archive names a file outside itself. Do not trust its maker.' },
  duplicate_entry: {
    kind: 'invalid_argument',
    help: 'The archive holds two files of one name: which is meant is a guess.',
  },
  limit: {
    kind: 'resource_exhausted',
    help: 'The archive is beyond a limit; the message names it. Raise it if you trust the archive.',
  },
  write_failed: {
    kind: 'unavailable',
    help: 'The archive could not be written; the cause says why. Nothing was left at the target.',
  },
  full: { kind: 'resource_exhausted', help: 'The disk of the target is full. Free space, or write elsewhere.' },
  target_exists: { kind: 'already_exists', help: 'The target directory is not empty. Name a new one.' },
  duplicate_name: {
    kind: 'invalid_argument',
    help: 'Two of the images to save would have the same name in the archive.',
  },
})
