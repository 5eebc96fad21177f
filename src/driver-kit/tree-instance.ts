import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { FileLock } from '../host/file-lock.ts'
import type { DriverHost } from './driver-host.ts'

/** One opening of a `TreeStore`, alive while its lock file is locked. What it has under way carries its id. */
export interface TreeInstance extends Disposable {
  readonly id: string
}

export function registerInstance(directory: string, host: DriverHost): TreeInstance {
  for (;;) {
    const id = randomBytes(5).toString('hex')
    const path = join(directory, id)
    const lock: FileLock | null = host.tryLock(path)
    // A sweep may have taken the new file for a dead instance's and removed it: then try another.
    if (!lock) continue
    if (!existsSync(path)) {
      lock[Symbol.dispose]()
      continue
    }
    let left = false
    return {
      id,
      [Symbol.dispose]() {
        if (left) return
        left = true
        rmSync(path, { force: true })
        lock[Symbol.dispose]()
      },
    }
  }
}

/** Forgets dead instances and gives back the ids of the living. */
export function livingInstances(directory: string, host: DriverHost, self: string): ReadonlySet<string> {
  const living = new Set([self])
  for (const id of readdirSync(directory)) {
    if (id === self) continue
    const path = join(directory, id)
    const lock = host.tryLock(path)
    if (!lock) living.add(id)
    else {
      rmSync(path, { force: true })
      lock[Symbol.dispose]()
    }
  }
  return living
}
