import { closeSync, constants, openSync } from 'node:fs'
import type { RootMount } from '../host/launcher.ts'
import { mountRoot } from '../host/mount-root.ts'
import { closeDescriptor } from '../host/syscall/descriptor.ts'
import { O_PATH } from '../host/syscall/file.ts'
import { cloneTree, MNT_DETACH, MS, mount, umount2 } from '../host/syscall/mount.ts'
import { CLONE, chdir, chroot, fchdir, setns, unshare } from '../host/syscall/namespace.ts'

/**
 * Takes a mount namespace for the calling thread (unshare(2): per thread on Linux), mounts the trees there and makes
 * `root` the thread's root. What it mounted is gone with the thread, and no path reaches anything else. All modules must
 * be loaded by then.
 */
export function confineThread(trees: readonly RootMount[], root: string): void {
  unshare(CLONE.NEWNS)
  mount(null, '/', null, MS.REC | MS.SLAVE, null)
  for (const tree of trees) mountRoot(tree)
  chroot(root)
  chdir('/')
}

/**
 * The same with the root of a running container, as it is and without what is mounted in it: a copy of its first mount,
 * taken in its mount namespace (a descriptor), because mounts of another one may not be bound.
 */
export function confineThreadToNamespace(namespace: number): void {
  unshare(CLONE.FS)
  setns(namespace, CLONE.NEWNS)
  const tree = cloneTree('/')
  try {
    fchdir(tree)
    chroot('.')
  } finally {
    closeDescriptor(tree)
  }
}

/** Confines the calling thread to one set of trees after the other; it sees the machine again between two jobs. */
export class JobConfinement {
  #ownNamespace = false

  run<T>(trees: readonly RootMount[], root: string, work: () => T): T {
    if (!this.#ownNamespace) {
      unshare(CLONE.NEWNS)
      mount(null, '/', null, MS.REC | MS.SLAVE, null)
      this.#ownNamespace = true
    }
    const home = openSync('/', O_PATH | constants.O_DIRECTORY)
    const mounted: string[] = []
    try {
      for (const tree of trees) for (let left = mountRoot(tree); left > 0; left--) mounted.push(tree.target)
      chroot(root)
      try {
        chdir('/')
        return work()
      } finally {
        fchdir(home)
        chroot('.')
      }
    } finally {
      for (const target of mounted.reverse()) umount2(target, MNT_DETACH)
      closeSync(home)
    }
  }
}
