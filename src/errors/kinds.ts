/**
 * What the caller should do about a failure. The list is closed; `code` tells the failures of one kind apart.
 *
 * - `invalid_argument`: the input is wrong whatever the state of the engine: change the call.
 * - `not_found` / `already_exists`: the named object is missing / present.
 * - `conflict`: the object is in use or in a state that forbids the call: wait, stop or force.
 * - `failed_precondition`: something else must be done first (start the container, free a name).
 * - `permission_denied`: the process lacks a right; `unauthenticated`: credentials are missing or refused.
 * - `resource_exhausted`: disk, memory, addresses, or a configured limit ran out.
 * - `unavailable`: a peer or helper did not answer; trying again may help.
 * - `unsupported`: this machine, driver or version cannot do it.
 * - `data_loss`: stored or received data is not what its digest or format says.
 * - `aborted`: the caller's signal; `timeout`: a deadline of ours; `internal`: a defect of ours.
 */
export const errorKinds = [
  'invalid_argument',
  'not_found',
  'already_exists',
  'conflict',
  'failed_precondition',
  'permission_denied',
  'unauthenticated',
  'resource_exhausted',
  'unavailable',
  'unsupported',
  'data_loss',
  'aborted',
  'timeout',
  'internal',
] as const

/** One of `errorKinds`. */
export type ErrorKind = (typeof errorKinds)[number]
