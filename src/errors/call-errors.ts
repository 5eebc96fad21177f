import { defineErrors } from './family.ts'

/** Failures of the call itself, whatever it was about. */
export const callErrors = defineErrors('call', {
  aborted: { kind: 'aborted', help: 'The AbortSignal given to the call fired. What was half made has been undone.' },
  timeout: {
    kind: 'timeout',
    help: 'A deadline passed. The message names the phase; raise the deadline or look there.',
  },
  unknown_option: { kind: 'invalid_argument', help: 'An option object has a key this version does not know.' },
  bad_option: { kind: 'invalid_argument', help: 'An option has the wrong type or an impossible value.' },
  disposed: { kind: 'failed_precondition', help: 'The engine, driver or handle was used after its disposal.' },
  internal: { kind: 'internal', help: 'A defect of tscontainer. Please report it with the cause.' },
})

/** The error a call rejects with when its signal fired; the cause is the signal's reason. */
export function abortError(signal: AbortSignal, what = 'The call') {
  return callErrors.error('aborted', { message: `${what} was aborted by its signal.`, cause: signal.reason })
}
