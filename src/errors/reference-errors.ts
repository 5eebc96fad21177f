import { defineErrors } from './family.ts'

/** Image names that are none. */
export const referenceErrors = defineErrors('reference', {
  bad_name: {
    kind: 'invalid_argument',
    help: 'Image names are `[host[:port]/]path[:tag][@digest]`, the path in lower case.',
  },
  bad_tag: { kind: 'invalid_argument', help: 'Tags are 1 to 128 letters, digits, `_`, `.` and `-`.' },
  bad_digest: {
    kind: 'invalid_argument',
    help: 'Digests are `sha256:` and 64, or `sha512:` and 128 lower-case hex digits.',
  },
})
