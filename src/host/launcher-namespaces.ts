import { closeSync, openSync } from 'node:fs'
import { errnoOf } from '../errors/host-errors.ts'
import { readMountTable } from './mount-info.ts'
import { MNT_DETACH, MS, mount, umount2 } from './syscall/mount.ts'
import { CLONE, chdir, setns, umask, unshare } from './syscall/namespace.ts'

/**
 * The launcher thread's mount namespaces. It lives in `home`, where leased trees are mounted. Every program gets a copy
 * of `template`, a namespace without any mount of ours: so no program keeps another one's root alive, and a root is
 * unmounted by the kernel, in the program's own exit, when its program ends.
 */
export class LauncherNamespaces {
  readonly #template: number
  readonly #home: number

  /** Moves the calling thread out of the process's namespace, root, working directory and umask, for good. */
  constructor() {
    unshare(CLONE.NEWNS | CLONE.FS)
    umask(0o022)
    chdir('/')
    // A slave, not private: what the host mounts or unmounts later happens here too, nothing of ours goes out.
    mount(null, '/', null, MS.REC | MS.SLAVE, null)
    const table = readMountTable('thread-self')
    // crun 1.8 refuses hosts that have both cgroup versions mounted, as long as it can see both.
    if (table.some((entry) => entry.type === 'cgroup'))
      for (const entry of table) if (entry.type === 'cgroup2') detachIfAllowed(entry.target)
    this.#template = openSync('/proc/thread-self/ns/mnt', 'r')
    unshare(CLONE.NEWNS)
    this.#home = openSync('/proc/thread-self/ns/mnt', 'r')
  }

  /** Runs `work` in a new copy of the template, which lives on in what `work` started. Synchronous. */
  inOwnNamespace<T>(work: () => T): T {
    setns(this.#template, CLONE.NEWNS)
    try {
      unshare(CLONE.NEWNS)
      return work()
    } finally {
      setns(this.#home, CLONE.NEWNS)
    }
  }

  close(): void {
    closeSync(this.#template)
    closeSync(this.#home)
  }
}

/** Inside a user namespace the mounts that came with it cannot be taken off one by one (EINVAL, mount_namespaces(7)). */
function detachIfAllowed(target: string): void {
  try {
    umount2(target, MNT_DETACH)
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error
  }
}
