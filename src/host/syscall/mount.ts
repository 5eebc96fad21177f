import { bind, check, cString, cStringOrNull, type Path } from './libc.ts'

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
