import { readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { stateErrors } from '../errors/state-errors.ts'
import { type FileLock, tryLock } from '../host/file-lock.ts'
import type { RootPaths } from './paths.ts'

/** Milliseconds that a dying process's child may hold on to a lock until its exec. */
const settleMs = 1000

const lockFile = (paths: RootPaths): string => join(paths.run, 'records.lock')

/** Held by everybody who has the records open. @throws `state.rebuilding` */
export function shareRecords(paths: RootPaths): FileLock {
  const lock = tryLock(lockFile(paths), 'shared')
  if (lock) return lock
  throw rebuilding(paths)
}

/** Nobody has the records open, and nobody can open them while this is held. @throws `state.in_use` */
export async function reserveRecords(paths: RootPaths): Promise<FileLock> {
  const deadline = performance.now() + settleMs
  for (;;) {
    const lock = tryLock(lockFile(paths))
    if (lock) return lock
    if (performance.now() > deadline) break
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const pids = holdersOf(lockFile(paths))
  throw stateErrors.error('in_use', {
    message: `The records of ${paths.root} cannot be built anew while other engines have the root open (${pids.length > 0 ? `processes ${pids.join(', ')}` : 'in processes that cannot be seen from here'}). Close them and try again.`,
    subject: { type: 'root', id: paths.root },
    details: { pids },
  })
}

export const rebuilding = (paths: RootPaths) =>
  stateErrors.error('rebuilding', {
    message: `The records of ${paths.root} are being built anew, or that was interrupted. Run \`tscontainer check --repair --root ${paths.root}\` to its end.`,
    subject: { type: 'root', id: paths.root },
  })

function holdersOf(file: string): number[] {
  const real = realpathSync(file)
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const directory = `/proc/${pid}/fd`
        return readdirSync(directory).some((fd) => readlinkSync(join(directory, fd)) === real)
      } catch {
        return false // It has ended meanwhile, or is not ours to look at.
      }
    })
    .map(Number)
}
