import { closeSync, openSync, readlinkSync, writeFileSync } from 'node:fs'
import { fromNodeError, hostErrors } from '../errors/host-errors.ts'
import { closeDescriptor } from './syscall/descriptor.ts'
import { cloneTree, moveMount, setIdMap } from './syscall/mount.ts'
import { posixSpawn, reap } from './syscall/spawn.ts'

/** `count` owners from `onDisk` on are shown as those from `shown` on. */
export interface IdRange {
  readonly onDisk: number
  readonly shown: number
  readonly count: number
}

/** How a mount shifts owners; what no range has is shown as the overflow id (65534), and nobody can become it. */
export interface IdMap {
  readonly uids: readonly IdRange[]
  readonly gids: readonly IdRange[]
}

/**
 * Mounts a directory on another with owners shifted (id-mapped mount, Linux 5.12; mount_setattr(2)). Only for a thread
 * with a mount namespace of its own.
 */
export function mountShifted(source: string, target: string, map: IdMap): void {
  const tree = cloneTree(source)
  try {
    const namespace = createUserNamespace(map)
    try {
      setIdMap(tree, namespace)
    } finally {
      closeSync(namespace)
    }
    moveMount(tree, target)
  } finally {
    closeDescriptor(tree)
  }
}

/** Any program that stays until it is killed. */
const waiting = ['sleep', '60'] as const
const longestWaitMs = 5_000

/**
 * A descriptor of a user namespace with this mapping. The kernel makes one only for a process with a single thread, so a
 * program is started that enters it; once the descriptor is open it is not needed any more.
 */
function createUserNamespace({ uids, gids }: IdMap): number {
  const own = readlinkSync('/proc/self/ns/user')
  const argv = ['unshare', '--user', ...waiting]
  const plan = { file: '/usr/bin/unshare', argv, env: ['PATH=/usr/bin:/bin'], cwd: '/', ownSession: true }
  const pid = posixSpawn({ ...plan, descriptors: [null, null, null] })
  let gone = false
  try {
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (let waited = 0; readlinkSync(`/proc/${pid}/ns/user`) === own; waited++) {
      gone = reap(pid, 'look') !== null
      if (gone || waited >= longestWaitMs)
        throw hostErrors.error('unsupported', {
          message: 'No user namespace could be made for shifting owners; sysctl user.max_user_namespaces may be 0.',
        })
      Atomics.wait(pause, 0, 0, 1)
    }
    writeFileSync(`/proc/${pid}/uid_map`, mapText(uids))
    writeFileSync(`/proc/${pid}/gid_map`, mapText(gids))
    return openSync(`/proc/${pid}/ns/user`, 'r')
  } catch (error) {
    throw fromNodeError(error, 'Making a user namespace for shifted owners')
  } finally {
    // Not waited for yet, so the number cannot be somebody else's.
    if (!gone) {
      process.kill(pid, 'SIGKILL')
      reap(pid, 'wait')
    }
  }
}

/** Source: user_namespaces(7). */
const mapText = (ranges: readonly IdRange[]): string =>
  ranges.map(({ onDisk, shown, count }) => `${onDisk} ${shown} ${count}\n`).join('')
