import { defineErrors } from './family.ts'

/** Failures about the output of containers. */
export const loggingErrors = defineErrors('logging', {
  not_readable: {
    kind: 'unsupported',
    help: "The container's log driver only sends its output away. Read it where the driver sends it.",
  },
  bad_query: { kind: 'invalid_argument', help: 'A condition of a log query is wrong; the message names it.' },
  output_too_large: {
    kind: 'resource_exhausted',
    help: 'A program wrote more than the call may keep in memory. Read it as a stream, or raise `maxBytes`.',
  },
  bad_frame: { kind: 'data_loss', help: 'Log entries from another process were not in the form this version knows.' },
  read_failed: { kind: 'internal', help: 'Reading a pipe of a container failed; the cause has the errno.' },
})
