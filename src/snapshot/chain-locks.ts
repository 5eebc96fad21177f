import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type FileLock, tryLock, waitLock } from '../host/file-lock.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { RootPaths } from '../state/paths.ts'

/**
 * One maker or remover of a chain link at a time, over all processes of a root. The kernel lets go of a dead process's
 * lock. Links share 4096 lock files, so that none has to be deleted; never hold two at a time.
 */
export class ChainLocks {
  readonly #directory: string

  constructor(paths: RootPaths) {
    this.#directory = join(paths.run, 'chains')
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  wait(chainId: string, call?: CallOptions): Promise<FileLock> {
    return waitLock(this.#file(chainId), call)
  }

  /** `null` when somebody is at work on it. */
  try(chainId: string): FileLock | null {
    return tryLock(this.#file(chainId))
  }

  #file(chainId: string): string {
    return join(this.#directory, createHash('sha256').update(chainId).digest('hex').slice(0, 3))
  }
}
