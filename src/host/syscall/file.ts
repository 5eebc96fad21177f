import { constants } from 'node:fs'
import { bind, bindAsync, check, cString, lastErrno, type Path } from './libc.ts'
import { syscallNumber } from './numbers.ts'

const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
const AT_EMPTY_PATH = 0x1000

const { S_IFIFO, S_IFCHR, S_IFBLK, S_IFREG } = constants
/** Type bits for `mknod`. S_IFSOCK makes a dead socket file. */
export const fileTypes = {
  fifo: S_IFIFO,
  character: S_IFCHR,
  block: S_IFBLK,
  regular: S_IFREG,
  socket: 0o140000,
} as const

const mknodatCall = bind<[number, number, Uint8Array, number, bigint]>('syscall', 'long', [
  'long',
  'int',
  'void *',
  'uint',
  'uint64',
])
const lchownCall = bind<[Uint8Array, number, number]>('lchown', 'int', ['void *', 'uint', 'uint'])
const utimensatCall = bind<[number, Uint8Array, Uint8Array, number]>('utimensat', 'int', [
  'int',
  'void *',
  'void *',
  'int',
])
const linkatCall = bind<[number, Uint8Array, number, Uint8Array, number]>('linkat', 'int', [
  'int',
  'void *',
  'int',
  'void *',
  'int',
])
const openat2Call = bind<[number, number, Uint8Array, Uint8Array, number]>('syscall', 'long', [
  'long',
  'int',
  'void *',
  'void *',
  'size_t',
])
const fallocateCall = bind<[number, number, number, number]>('fallocate', 'int', ['int', 'int', 'int64', 'int64'])
const lseekCall = bind<[number, number, number]>('lseek', 'int64', ['int', 'int64', 'int'])
const syncfsCall = bind<[number]>('syncfs', 'int', ['int'])
const syncRangeCall = bind<[number, number, number, number]>('sync_file_range', 'int', [
  'int',
  'int64',
  'int64',
  'uint',
])
const syncRangeAsync = bindAsync<[number, number, number, number]>('sync_file_range', 'int', [
  'int',
  'int64',
  'int64',
  'uint',
])

/** Device number as the kernel takes it. Source: makedev(3), linux/kdev_t.h (new_encode_dev). */
export function makedev(major: number, minor: number): bigint {
  const a = BigInt(major)
  const b = BigInt(minor)
  return ((a & 0xfffn) << 8n) | (b & 0xffn) | ((b & ~0xffn) << 12n) | ((a & ~0xfffn) << 32n)
}

/** mknod(2); the process's umask applies to `mode`. */
export function mknod(path: Path, type: number, mode: number, device: bigint = 0n): void {
  check(mknodatCall(syscallNumber('mknodat'), AT_FDCWD, cString(path), type | mode, device), 'mknod', path)
}

export function mkfifo(path: Path, mode: number): void {
  check(mknodatCall(syscallNumber('mknodat'), AT_FDCWD, cString(path), S_IFIFO | mode, 0n), 'mkfifo', path)
}

/** Never follows a symlink. */
export function lchown(path: Path, uid: number, gid: number): void {
  check(lchownCall(cString(path), uid, gid), 'lchown', path)
}

export interface Timespec {
  /** Seconds since 1970; may be negative. */
  readonly seconds: number | bigint
  /** 0 to 999,999,999. */
  readonly nanoseconds: number
}

/** Sets access and modification times to the nanosecond; never follows a symlink. `null` leaves a time alone. */
export function utimens(path: Path, atime: Timespec | null, mtime: Timespec | null): void {
  const UTIME_OMIT = 0x3ffffffen
  const times = new BigInt64Array(4)
  for (const [index, time] of [atime, mtime].entries()) {
    times[index * 2] = time ? BigInt(time.seconds) : 0n
    times[index * 2 + 1] = time ? BigInt(time.nanoseconds) : UTIME_OMIT
  }
  check(utimensatCall(AT_FDCWD, cString(path), new Uint8Array(times.buffer), AT_SYMLINK_NOFOLLOW), 'utimensat', path)
}

/** Hard link to `existing` itself, also when it is a symlink. */
export function link(existing: Path, created: Path): void {
  check(linkatCall(AT_FDCWD, cString(existing), AT_FDCWD, cString(created), 0), 'linkat', created)
}

/** Gives a file opened with O_TMPFILE a name; fails with `already_exists` when it is taken. */
export function linkDescriptor(fd: number, created: Path): void {
  check(linkatCall(fd, cString(''), AT_FDCWD, cString(created), AT_EMPTY_PATH), 'linkat', created)
}

/** Source: linux/openat2.h. */
export const RESOLVE = { NO_XDEV: 1, NO_MAGICLINKS: 2, NO_SYMLINKS: 4, BENEATH: 8, IN_ROOT: 16 } as const
export const O_PATH = 0o10000000
export const O_CLOEXEC = 0o2000000
export const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY

/** openat2(2): the descriptor is always close-on-exec. `directory` is a descriptor; mode only counts with O_CREAT. */
export function openat2(directory: number, path: Path, flags: number, resolve: number, mode = 0): number {
  const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), BigInt(mode), BigInt(resolve)])
  const bytes = new Uint8Array(how.buffer)
  return check(openat2Call(syscallNumber('openat2'), directory, cString(path), bytes, bytes.length), 'openat2', path)
}

/** Opens `path` as a process would whose root is `root`: links and `..` cannot lead out. */
export function openInRoot(root: number, path: Path, flags: number, mode = 0): number {
  return openat2(root, path, flags, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS, mode)
}

/** Frees a range of a file; reads give zeros there. `unsupported` where the file system has no holes. */
export function punchHole(fd: number, offset: number, length: number): void {
  const KEEP_SIZE_AND_PUNCH = 1 | 2
  check(fallocateCall(fd, KEEP_SIZE_AND_PUNCH, offset, length), 'fallocate')
}

function seek(fd: number, offset: number, whence: number): number | null {
  const result = lseekCall(fd, offset, whence)
  if (result !== -1) return result
  if (lastErrno() === 'ENXIO') return null
  return check(result, 'lseek')
}

/** Start of the next data at or after `offset`; `null` when only a hole follows. */
export function seekData(fd: number, offset: number): number | null {
  return seek(fd, offset, 3)
}

/** Start of the next hole at or after `offset`, the end of the file at the latest; `null` past the end. */
export function seekHole(fd: number, offset: number): number | null {
  return seek(fd, offset, 4)
}

/** Writes everything of the file system that holds `fd` to its disk. */
export function syncfs(fd: number): void {
  check(syncfsCall(fd), 'syncfs')
}

const SYNC_FILE_RANGE_WRITE = 2

/**
 * sync_file_range(2): the disk begins to write a range of a file; nothing is waited for, and nothing is durable by it. No
 * matter when it fails: an fsync follows.
 */
export function startWriteback(fd: number, offset: number, length: number): void {
  syncRangeCall(fd, offset, length, SYNC_FILE_RANGE_WRITE)
}

/** The same in a pool thread, since a disk with a full queue lets the call wait. */
export async function startWritebackAsync(fd: number, offset: number, length: number): Promise<void> {
  await syncRangeAsync(fd, offset, length, SYNC_FILE_RANGE_WRITE)
}
