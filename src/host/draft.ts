import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { atExit } from './at-exit.ts'

export interface Draft extends AsyncDisposable {
  readonly path: string
}

/**
 * A name beside `path`, for a file or directory that becomes it by a rename. What is still there at its disposal, or when
 * the process ends by itself, is removed.
 */
export function draftBeside(path: string): Draft {
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.partial`)
  // After the other hooks, which stop threads that write there; a call in libuv's pool may still add a file.
  const stay = atExit(() => () => rmSync(draft, { recursive: true, force: true, maxRetries: 3, retryDelay: 10 }))
  return {
    path: draft,
    [Symbol.asyncDispose]: async () => {
      // Where nothing can be made nothing can be removed, and the failure to make it has been told.
      await rm(draft, { recursive: true, force: true }).catch(() => {})
      stay()
    },
  }
}
