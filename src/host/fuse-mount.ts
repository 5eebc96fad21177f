import { closeSync, constants, openSync } from 'node:fs'
import { fromNodeError, hostErrors } from '../errors/host-errors.ts'
import { missingProgram } from './missing-program.ts'
import type { MountPlan } from './mount-options.ts'
import { shortenOverlayData } from './overlay-data.ts'
import { O_PATH } from './syscall/file.ts'
import { MNT_DETACH, mount, umount2 } from './syscall/mount.ts'
import { CLONE, setns } from './syscall/namespace.ts'

/** Mounts of type `fuse.NAME` are served by the program NAME. */
export const fusePrefix = 'fuse.'

/**
 * Mounts a file system that a program serves. The program gets the mount's descriptor (`/dev/fd/3`, libfuse 3.3 and newer)
 * and runs in the process's own mount namespace, not in the caller's: so it never keeps alive what it serves, and ends by
 * itself when the mount is gone, however it went. Only for a thread with a mount namespace of its own.
 */
export function mountFuse(plan: MountPlan, target: string): void {
  const program = plan.type.slice(fusePrefix.length)
  const device = openDevice()
  try {
    // allow_other with default_permissions: the kernel checks modes and owners, as on any file system.
    const data = `fd=${device},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other`
    mount(plan.source, target, plan.type, plan.flags, data)
    try {
      inProcessNamespace(() => serve(program, plan.data, device))
    } catch (error) {
      umount2(target, MNT_DETACH)
      throw error
    }
  } finally {
    closeSync(device)
  }
}

function openDevice(): number {
  try {
    return openSync('/dev/fuse', constants.O_RDWR)
  } catch (error) {
    throw fromNodeError(error, 'Opening /dev/fuse')
  }
}

/**
 * The program goes into the background by itself once it serves. Directories are handed over as descriptors: programs
 * split their lists at colons, and arguments are limited to 128 KiB.
 */
function serve(program: string, options: string, device: number): void {
  // Loaded here: hardly any thread that mounts ever starts a server.
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const handed: number[] = []
  try {
    const data = shortenOverlayData(options, (path) => {
      handed.push(openSync(path, O_PATH | constants.O_DIRECTORY))
      return `/proc/self/fd/${firstDirectory + handed.length - 1}`
    })
    const { status, signal, stderr, error } = spawnSync(program, ['-o', data, `/dev/fd/${deviceNumber}`], {
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe', device, ...handed],
      timeout: 30_000,
      killSignal: 'SIGKILL',
    })
    if (error && 'code' in error && error.code === 'ENOENT') throw missingProgram(program, error)
    if (error || status !== 0)
      throw hostErrors.error('program_failed', {
        message: `${program} could not serve a mount (${error?.message ?? signal ?? `status ${status}`}): ${String(stderr).trim().slice(-500)}`,
        subject: { type: 'program', id: program },
        cause: error,
      })
  } catch (error) {
    throw fromNodeError(error, `Starting ${program}`)
  } finally {
    for (const fd of handed) closeSync(fd)
  }
}

/** Numbers of the program's descriptors. */
const deviceNumber = 3
const firstDirectory = 4

/** Synchronous: no other work of the thread can run in between. */
function inProcessNamespace(work: () => void): void {
  const own = openSync('/proc/thread-self/ns/mnt', 'r')
  try {
    const outer = openSync(`/proc/${process.pid}/ns/mnt`, 'r')
    try {
      setns(outer, CLONE.NEWNS)
    } finally {
      closeSync(outer)
    }
    try {
      work()
    } finally {
      setns(own, CLONE.NEWNS)
    }
  } finally {
    closeSync(own)
  }
}
