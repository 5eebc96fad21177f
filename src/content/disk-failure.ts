import { contentErrors } from '../errors/content-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'

/** Gives a failed write into the store its place in our kinds. */
export function describeWriteFailure(error: unknown, what: string, directory: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  if (isEngineError(error) || code === undefined) return error
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return contentErrors.error('full', {
      message: `The disk of ${directory} is full: ${what} was not stored and its partial copy was removed. Free space and try again.`,
      subject: { type: 'directory', id: directory },
      cause: error,
    })
  return contentErrors.error('write_failed', {
    message: `${what} could not be stored in ${directory}: ${String(error)}.`,
    subject: { type: 'directory', id: directory },
    cause: error,
  })
}
