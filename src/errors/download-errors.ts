import { defineErrors } from './family.ts'

/** Failures of fetching archives and root file systems from URLs; what the connection itself fails with is `registry.*`. */
export const downloadErrors = defineErrors('download', {
  bad_url: {
    kind: 'invalid_argument',
    help: 'Only http: and https: addresses without user and password are fetched. Give files by their path.',
  },
  not_found: { kind: 'not_found', help: 'There is nothing at the address.' },
  refused: { kind: 'permission_denied', help: 'The server does not give it to everybody. Fetch it by other means.' },
  failed: { kind: 'unavailable', help: 'The server did not send the whole; the message says what it did.' },
})
