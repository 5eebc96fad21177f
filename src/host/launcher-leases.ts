import { closeSync, constants, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { fromNodeError, hostErrors } from '../errors/host-errors.ts'
import type { RootMount } from './launcher.ts'
import { mountRoot } from './mount-root.ts'
import { O_PATH } from './syscall/file.ts'
import { MNT_DETACH, UMOUNT_NOFOLLOW, umount2 } from './syscall/mount.ts'

interface Lease {
  readonly target: string
  /** Of the topmost root. */
  readonly fd: number
  /** Of the directory that the target lies in, as the thread's own namespace has it. */
  readonly parent: number
  readonly count: number
}

/** The trees that are mounted in the launcher thread's own namespace, by the id of their call. */
export class LauncherLeases {
  readonly #held = new Map<number, Lease>()

  /**
   * A path to it through a descriptor of the directory above. Not through the thread's root: that is another one whenever
   * the thread has gone into the namespace of a program that it starts.
   */
  mount(id: number, root: RootMount): string {
    if ([...this.#held.values()].some((lease) => lease.target === root.target))
      throw hostErrors.error('busy', {
        message: `Something is mounted on ${root.target} already. Dispose its lease first, or use another directory.`,
        subject: { type: 'path', id: root.target },
      })
    const count = mountRoot(root)
    const opened: number[] = []
    try {
      for (const path of [root.target, dirname(root.target)])
        opened.push(openSync(path, O_PATH | constants.O_DIRECTORY))
    } catch (error) {
      for (const fd of opened) closeSync(fd)
      for (let left = count; left > 0; left--) umount2(root.target, MNT_DETACH)
      throw fromNodeError(error)
    }
    const [fd, parent] = opened as [number, number]
    this.#held.set(id, { target: root.target, fd, parent, count })
    return `/proc/${process.pid}/fd/${parent}/${basename(root.target)}`
  }

  /**
   * Detaches the tree at once and gives the last hold on it to the caller, who closes it elsewhere: that writes back the
   * whole file system below an overlay, which can take seconds and must not stop other launches.
   */
  unmount(id: number): number | null {
    const lease = this.#held.get(id)
    if (!lease) return null
    this.#held.delete(id)
    closeSync(lease.parent)
    for (let left = lease.count; left > 0; left--) umount2(lease.target, MNT_DETACH | UMOUNT_NOFOLLOW)
    return lease.fd
  }

  close(): void {
    for (const { fd, parent } of this.#held.values()) {
      closeSync(fd)
      closeSync(parent)
    }
  }
}
