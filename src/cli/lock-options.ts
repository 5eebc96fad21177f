import type { EngineOptions } from '../engine/engine-options.ts'
import { UsageError } from './usage-error.ts'

/** Of the commands that pull. */
export const lockOptions = {
  'lock-file': { type: 'string' },
  frozen: { type: 'boolean' },
  update: { type: 'boolean' },
  offline: { type: 'boolean' },
} as const

interface LockValues {
  readonly 'lock-file'?: string | undefined
  readonly frozen?: boolean | undefined
  readonly update?: boolean | undefined
  readonly offline?: boolean | undefined
}

export function lockOf({
  'lock-file': file,
  frozen,
  update,
  offline = false,
}: LockValues): Pick<EngineOptions, 'imageLock' | 'offline'> {
  if (frozen && update) throw new UsageError('--frozen and --update exclude each other')
  if (file === undefined) {
    if (frozen || update) throw new UsageError(`--${frozen ? 'frozen' : 'update'} needs --lock-file FILE`)
    return { offline }
  }
  return { offline, imageLock: { file, mode: frozen ? 'frozen' : update ? 'update' : 'use' } }
}
