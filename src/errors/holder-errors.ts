import { defineErrors } from './family.ts'

/** Failures between the process that asks and the process that holds a container. */
export const holderErrors = defineErrors('holder', {
  protocol: {
    kind: 'internal',
    help: 'The peer spoke another protocol. Two incompatible versions may share the root.',
  },
  newer_protocol: {
    kind: 'failed_precondition',
    help: 'The running monitor speaks a newer protocol than this version. Use the newer version.',
  },
  lost: { kind: 'unavailable', help: 'The process that holds the container went away during the call. Try again.' },
  remote: { kind: 'internal', help: 'The holding process failed in a way that has no code; the message is its own.' },
})
