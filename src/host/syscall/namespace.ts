import { bind, check, cString, type Path } from './libc.ts'
import { syscallNumber } from './numbers.ts'

/** Source: linux/sched.h. */
export const CLONE = {
  FS: 0x200,
  NEWNS: 0x20000,
  NEWCGROUP: 0x2000000,
  NEWUTS: 0x4000000,
  NEWIPC: 0x8000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
} as const

const unshareCall = bind<[number]>('unshare', 'int', ['int'])
const setnsCall = bind<[number, number]>('setns', 'int', ['int', 'int'])
const chrootCall = bind<[Uint8Array]>('chroot', 'int', ['void *'])
const chdirCall = bind<[Uint8Array]>('chdir', 'int', ['void *'])
const fchdirCall = bind<[number]>('fchdir', 'int', ['int'])
const umaskCall = bind<[number]>('umask', 'int', ['uint'])
const syscall0 = bind<[number]>('syscall', 'long', ['long'])

/** unshare(2): changes the calling thread only. */
export function unshare(flags: number): void {
  check(unshareCall(flags), 'unshare')
}

/** setns(2): changes the calling thread only. */
export function setns(fd: number, type: number): void {
  check(setnsCall(fd, type), 'setns')
}

/**
 * chroot(2), chdir(2) and umask(2): only in a thread that has called `unshare(CLONE.FS)` (or NEWNS); before that they
 * change the root, working directory and mask of the whole process.
 */
export function chroot(path: Path): void {
  check(chrootCall(cString(path)), 'chroot', path)
}

export function chdir(path: Path): void {
  check(chdirCall(cString(path)), 'chdir', path)
}

/** The same with the descriptor of a directory. */
export function fchdir(fd: number): void {
  check(fchdirCall(fd), 'fchdir')
}

export function umask(mask: number): number {
  return umaskCall(mask)
}

/** Kernel id of the calling thread. */
export function gettid(): number {
  return check(syscall0(syscallNumber('gettid')), 'gettid')
}
