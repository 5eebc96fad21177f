import { bind, check, cString, cStringOrNull, type Path } from './libc.ts'
import { syscallNumber } from './numbers.ts'

/** Source: linux/mount.h. */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  SYNCHRONOUS: 16,
  REMOUNT: 32,
  MANDLOCK: 64,
  DIRSYNC: 128,
  NOSYMFOLLOW: 256,
  NOATIME: 1024,
  NODIRATIME: 2048,
  BIND: 4096,
  MOVE: 8192,
  REC: 16384,
  SILENT: 32768,
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
  RELATIME: 1 << 21,
  STRICTATIME: 1 << 24,
  LAZYTIME: 1 << 25,
} as const

export const MNT_DETACH = 2
export const UMOUNT_NOFOLLOW = 8

const mountCall = bind<[Uint8Array | null, Uint8Array, Uint8Array | null, number, Uint8Array | null]>('mount', 'int', [
  'void *',
  'void *',
  'void *',
  'ulong',
  'void *',
])
const umountCall = bind<[Uint8Array, number]>('umount2', 'int', ['void *', 'int'])

/** mount(2). The kernel reads at most one page of `data`. */
export function mount(source: Path | null, target: Path, type: string | null, flags: number, data: Path | null): void {
  check(
    mountCall(cStringOrNull(source), cString(target), cStringOrNull(type), flags, cStringOrNull(data)),
    'mount',
    target,
  )
}

/** umount2(2). */
export function umount2(target: Path, flags: number): void {
  check(umountCall(cString(target), flags), 'umount2', target)
}

const openTreeCall = bind<[number, number, Uint8Array, number]>('syscall', 'long', ['long', 'int', 'void *', 'uint'])
const moveMountCall = bind<[number, number, Uint8Array, number, Uint8Array, number]>('syscall', 'long', [
  'long',
  'int',
  'void *',
  'int',
  'void *',
  'uint',
])
const setAttributesCall = bind<[number, number, Uint8Array, number, Uint8Array, number]>('syscall', 'long', [
  'long',
  'int',
  'void *',
  'uint',
  'void *',
  'size_t',
])
const AT_FDCWD = -100
const AT_EMPTY_PATH = 0x1000

/** open_tree(2): a copy of the mount that begins at a directory, attached nowhere; a descriptor, for `closeDescriptor`. */
export function cloneTree(path: Path): number {
  const CLONE_CLOEXEC = 1 | 0o2000000
  return check(openTreeCall(syscallNumber('open_tree'), AT_FDCWD, cString(path), CLONE_CLOEXEC), 'open_tree', path)
}

/** mount_setattr(2): owners of a tree that is attached nowhere are seen through the mapping of a user namespace. */
export function setIdMap(tree: number, userNamespace: number): void {
  const MOUNT_ATTR_IDMAP = 0x100000n
  const attributes = new BigUint64Array([MOUNT_ATTR_IDMAP, 0n, BigInt(MS.PRIVATE), BigInt(userNamespace)])
  const bytes = new Uint8Array(attributes.buffer)
  const number = syscallNumber('mount_setattr')
  check(setAttributesCall(number, tree, cString(''), AT_EMPTY_PATH, bytes, bytes.length), 'mount_setattr')
}

/** move_mount(2): attaches a tree. */
export function moveMount(tree: number, target: Path): void {
  const MOVE_MOUNT_F_EMPTY_PATH = 4
  const number = syscallNumber('move_mount')
  check(
    moveMountCall(number, tree, cString(''), AT_FDCWD, cString(target), MOVE_MOUNT_F_EMPTY_PATH),
    'move_mount',
    target,
  )
}
