import { defineErrors } from './family.ts'

/** Failures about images on this data root. */
export const imageErrors = defineErrors('image', {
  not_found: { kind: 'not_found', help: 'No image has this name, id or id prefix. Load or pull it first.' },
  ambiguous: { kind: 'invalid_argument', help: 'Several images start with this id prefix. Give more digits.' },
  several_names: { kind: 'conflict', help: 'The image has several names. Remove them one by one, or use `force`.' },
  no_name: { kind: 'invalid_argument', help: 'The image has no name with a tag. Give the name it is to be pushed by.' },
  in_use: { kind: 'conflict', help: 'Containers use the image. Remove them first; `force` passes over stopped ones.' },
  has_children: {
    kind: 'conflict',
    help: 'Other images were made from this one. Remove them first, or remove this one by its name.',
  },
  bad_pattern: {
    kind: 'invalid_argument',
    help: 'Patterns of names have `*`, `?`, `[a-z]`, `[^a-z]` and `\\` before a sign that is meant itself.',
  },
  digest_name: { kind: 'invalid_argument', help: 'A new name for an image is a name with a tag, without a digest.' },
  bad_manifest: { kind: 'data_loss', help: 'The manifest or configuration breaks the OCI image specification.' },
  not_locked: {
    kind: 'failed_precondition',
    help: 'The image lock file is frozen and does not have the name. Pull it with the mode `use` and commit the file.',
  },
  bad_lock: {
    kind: 'invalid_argument',
    help: 'The image lock file cannot be read or written, or is damaged. The message says where; restore it from version control.',
  },
  no_signatures: {
    kind: 'unsupported',
    help: 'Signatures of images are not verified by this version. Pin digests with an image lock file instead.',
  },
  no_platform: {
    kind: 'not_found',
    help: 'No image of the index runs on the wanted platform. The details list what there is.',
  },
  schema1: {
    kind: 'unsupported',
    help: 'Manifests of schema 1 have been obsolete since 2017. Push the image anew with a current tool.',
  },
})
