import { closeSync, constants, openSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fromNodeError, hostErrors, systemError } from '../errors/host-errors.ts'
import { fusePrefix, mountFuse } from './fuse-mount.ts'
import { mountShifted } from './id-map.ts'
import type { RootMount } from './launcher.ts'
import { planMount } from './mount-options.ts'
import type { MountSpec } from './mount-spec.ts'
import { longestMountData, shortenOverlayData } from './overlay-data.ts'
import { asFileOwner } from './syscall/credentials.ts'
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

/** Gives back how many mounts lie on the target now. */
function mountOne(spec: MountSpec, target: string): number {
  const plan = planMount(spec)
  if (spec.shift) return mountOneShifted(spec, spec.shift, target)
  if (plan.type.startsWith(fusePrefix)) {
    mountFuse(plan, target)
    return 1
  }
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
  return 1
}

/**
 * An overlay takes its layers from a shifted view of the directory that holds them all. That view stays mounted on the
 * target, below the overlay, where nobody can reach it.
 */
function mountOneShifted(
  { shift: _, ...spec }: MountSpec,
  shift: NonNullable<MountSpec['shift']>,
  target: string,
): number {
  if (spec.type !== 'bind' && spec.type !== 'overlay')
    throw hostErrors.error('unsupported', { message: `Owners of a mount of type ${spec.type} cannot be shifted.` })
  if (spec.type === 'bind') {
    mountShifted(spec.source, target, shift)
    const { remount } = planMount(spec)
    if (remount !== null) mountOrUndo(target, 1, () => mount(null, target, null, remount, null))
    return 1
  }
  mountShifted(shift.within, target, shift)
  const within = (path: string) => {
    const inside = relative(shift.within, path)
    if (inside.startsWith('..')) throw hostErrors.error('invalid', { message: `${path} is not in ${shift.within}.` })
    return join(target, inside).replaceAll(/[\\,:]/g, '\\$&')
  }
  return mountOrUndo(target, 1, () => {
    const options = spec.options.map((option) => shortenOverlayData(option, within))
    // Overlay works in its own directories as whoever mounts it, and the mapping need not know this process's user.
    const [uid, gid] = [shift.uids[0]?.shown ?? 0, shift.gids[0]?.shown ?? 0]
    return 1 + asFileOwner(uid, gid, () => mountOne({ ...spec, options }, target))
  })
}

function mountOrUndo<T>(target: string, done: number, work: () => T): T {
  try {
    return work()
  } catch (error) {
    for (let left = done; left > 0; left--) umount2(target, MNT_DETACH)
    throw error
  }
}

/**
 * Mounts a stack in the calling thread's namespace; undone when one of them fails. Only for a thread with a working
 * directory of its own. Gives back how many mounts lie on the target then.
 */
export function mountRoot(root: RootMount): number {
  let done = 0
  try {
    for (const spec of root.mounts) done += mountOne(spec, root.target)
    return done
  } catch (error) {
    for (; done > 0; done--) umount2(root.target, MNT_DETACH)
    throw error
  }
}
