import { closeSync, constants, openSync } from 'node:fs'
import { fromNodeError, hostErrors, systemError } from '../errors/host-errors.ts'
import { fusePrefix, mountFuse } from './fuse-mount.ts'
import type { RootMount } from './launcher.ts'
import { planMount } from './mount-options.ts'
import type { MountSpec } from './mount-spec.ts'
import { longestMountData, shortenOverlayData } from './overlay-data.ts'
import { O_PATH } from './syscall/file.ts'
import { MNT_DETACH, mount, umount2 } from './syscall/mount.ts'
import { chdir } from './syscall/namespace.ts'

function openDirectory(path: string): number {
  try {
    return openSync(path, O_PATH | constants.O_DIRECTORY)
  } catch (error) {
    throw fromNodeError(error, `Opening the directory ${path}`)
  }
}

/** Overlay options longer than a page; changes the thread's working directory meanwhile. */
function mountLongOverlay(source: string, target: string, flags: number, data: string): void {
  const opened: number[] = []
  try {
    const short = shortenOverlayData(data, (path) => {
      const fd = openDirectory(path)
      opened.push(fd)
      return fd
    })
    if (Buffer.byteLength(short) > longestMountData)
      throw hostErrors.error('invalid', {
        message: `The overlay at ${target} has ${opened.length} layers; not even their numbers fit into mount options.`,
        details: { layers: opened.length },
      })
    chdir('/proc/thread-self/fd')
    try {
      mount(source, target, 'overlay', flags, short)
    } finally {
      chdir('/')
    }
  } finally {
    for (const fd of opened) closeSync(fd)
  }
}

function mountOne(spec: MountSpec, target: string): void {
  const plan = planMount(spec)
  if (plan.type.startsWith(fusePrefix)) return mountFuse(plan, target)
  const type = plan.type === 'bind' ? null : plan.type
  if (Buffer.byteLength(plan.data) <= longestMountData)
    mount(plan.source, target, type, plan.flags, plan.data === '' ? null : plan.data)
  else if (plan.type === 'overlay') mountLongOverlay(plan.source, target, plan.flags, plan.data)
  else throw systemError({ errno: 'E2BIG', syscall: 'mount', path: target, what: `Mounting ${plan.type} on ${target}` })
  try {
    if (plan.remount !== null) mount(null, target, null, plan.remount, null)
    if (plan.propagation !== null) mount(null, target, null, plan.propagation, null)
  } catch (error) {
    umount2(target, MNT_DETACH)
    throw error
  }
}

/**
 * Mounts a stack in the calling thread's namespace; undone when one of them fails. Only for a thread with a working
 * directory of its own.
 */
export function mountRoot(root: RootMount): void {
  let done = 0
  try {
    for (const spec of root.mounts) {
      mountOne(spec, root.target)
      done++
    }
  } catch (error) {
    for (; done > 0; done--) umount2(root.target, MNT_DETACH)
    throw error
  }
}
