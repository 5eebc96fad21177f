import { EngineError } from '../errors/engine-error.ts'
import { layerErrors } from '../errors/layer-errors.ts'

/** A failure on its way from a worker thread. */
export interface WorkerFailure {
  readonly reason: keyof typeof layerErrors.codes
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

/** What only a strange name can bring about. */
const impossible: ReadonlySet<string> = new Set(['ENAMETOOLONG', 'ELOOP', 'ENOTDIR'])

/** What went wrong in a worker, as data; `doing` says at what. */
export function describeFailure(error: unknown, doing: string): WorkerFailure {
  const { code, syscall } = error as NodeJS.ErrnoException
  const full = code === 'ENOSPC' || code === 'EDQUOT'
  if (full || (error instanceof EngineError && error.kind === 'resource_exhausted' && !error.code.startsWith('layer.')))
    return {
      reason: 'disk_full',
      message: `The disk became full while ${doing}. Free space and try again.`,
      details: { syscall },
    }
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof EngineError) {
    const reason = error.code.replace(/^layer\./, '')
    return { reason: isReason(reason) ? reason : 'apply_failed', message, details: error.details }
  }
  if (impossible.has(code ?? ''))
    return { reason: 'bad_entry', message: `An entry is impossible here: ${message}`, details: { code, syscall } }
  return { reason: 'apply_failed', message: `It failed while ${doing}: ${message}`, details: { code, syscall } }
}

export const fromFailure = ({ reason, message, details }: WorkerFailure) =>
  layerErrors.error(reason, { message, details })

const isReason = (reason: string): reason is keyof typeof layerErrors.codes => Object.hasOwn(layerErrors.codes, reason)
