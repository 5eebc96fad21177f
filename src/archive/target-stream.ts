import { callErrors } from '../errors/call-errors.ts'

/**
 * Looks at what somebody gave as a target before anything is begun.
 *
 * @throws `call.bad_option` for what is neither a path nor a stream that can still be written
 */
export function checkTarget(verb: string, target: unknown): void {
  const fail = (message: string) =>
    callErrors.error('bad_option', { message, subject: { type: 'option', id: 'target' }, details: { key: 'target' } })
  if (typeof target === 'string') return
  if (typeof target !== 'object' || target === null || !('write' in target))
    throw fail(`${verb} takes a path or a writable stream as its target.`)
  const isDestroyed = 'destroyed' in target && target.destroyed === true
  const isEnded = 'writableEnded' in target && target.writableEnded === true
  if (isDestroyed || isEnded)
    throw fail(
      `The stream given to ${verb} was ${isDestroyed ? 'destroyed' : 'ended'} before. Give one that can be written.`,
    )
}

/** Whether a stream failed since somebody destroyed or ended it, which Node says in errors of its own. */
export const isCutOff = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^ERR_STREAM_/.test(String(error.code))
