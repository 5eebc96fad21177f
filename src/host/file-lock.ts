import { closeSync, constants, openSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortError } from '../errors/call-errors.ts'
import { fromNodeError } from '../errors/host-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { tryFlock } from './syscall/descriptor.ts'

/** A held lock. Disposal releases it; so does the kernel when this process ends, however it ends. */
export interface FileLock extends Disposable {
  readonly path: string
}

export type LockMode = 'exclusive' | 'shared'

/**
 * Takes the flock(2) of a file (made when missing, mode 0600) or gives `null` when somebody else holds it - also
 * somebody else in this process. The descriptor is close-on-exec: children do not inherit the lock.
 */
export function tryLock(path: string, mode: LockMode = 'exclusive'): FileLock | null {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  } catch (error) {
    throw fromNodeError(error)
  }
  try {
    if (!tryFlock(fd, mode)) {
      closeSync(fd)
      return null
    }
  } catch (error) {
    closeSync(fd)
    throw error
  }
  let held = true
  return {
    path,
    [Symbol.dispose]() {
      // Once only: the number may belong to another file by now.
      if (held) closeSync(fd)
      held = false
    },
  }
}

/** The same for a file that is open: the lock is held until the handle is closed; false when somebody else holds it. */
export function lockHandle(handle: FileHandle, mode: LockMode = 'exclusive'): boolean {
  return tryFlock(handle.fd, mode)
}

/** Waits for the lock; asks again after 1 ms at first, then up to every 25 ms. */
export async function waitLock(path: string, call?: CallOptions & { readonly mode?: LockMode }): Promise<FileLock> {
  for (let pause = 1; ; pause = Math.min(25, pause * 2)) {
    throwIfAborted(call, `Waiting for the lock ${path}`)
    const lock = tryLock(path, call?.mode)
    if (lock) return lock
    try {
      await sleep(pause, undefined, { signal: call?.signal })
    } catch (error) {
      if (call?.signal?.aborted) throw abortError(call.signal, `Waiting for the lock ${path}`)
      throw error
    }
  }
}
