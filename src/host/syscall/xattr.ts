import { bind, check, cString, lastErrno, type Path } from './libc.ts'

const listCall = bind<[Uint8Array, Uint8Array | null, number]>('llistxattr', 'long', ['void *', 'void *', 'size_t'])
const listOpenCall = bind<[number, Uint8Array | null, number]>('flistxattr', 'long', ['int', 'void *', 'size_t'])
const getCall = bind<[Uint8Array, Uint8Array, Uint8Array | null, number]>('lgetxattr', 'long', [
  'void *',
  'void *',
  'void *',
  'size_t',
])
const setCall = bind<[Uint8Array, Uint8Array, Uint8Array, number, number]>('lsetxattr', 'int', [
  'void *',
  'void *',
  'void *',
  'size_t',
  'int',
])
const removeCall = bind<[Uint8Array, Uint8Array]>('lremovexattr', 'int', ['void *', 'void *'])

/** Calls with growing buffers: another process may enlarge the value between asking for the size and reading it. */
function read(fill: (buffer: Uint8Array) => number, syscall: string, path: Path): Uint8Array | null {
  for (let size = 1024; ; size *= 4) {
    const buffer = new Uint8Array(size)
    const length = fill(buffer)
    if (length >= 0) return buffer.subarray(0, length)
    const errno = lastErrno()
    if (errno === 'ENODATA') return null
    // The kernel allows 64 KiB; at that size ERANGE is an answer, not a request for more.
    if (errno !== 'ERANGE' || size > 65536) check(length, syscall, path)
  }
}

/** Names of a file's attributes; empty where the file system has none. */
export function llistxattr(path: Path): string[] {
  const file = cString(path)
  return list((buffer, size) => listCall(file, buffer, size), 'llistxattr', path)
}

/** The same of an open file, which spares the way to it; `path` is for messages. */
export function flistxattr(fd: number, path: Path): string[] {
  return list((buffer, size) => listOpenCall(fd, buffer, size), 'flistxattr', path)
}

function list(fill: (buffer: Uint8Array | null, size: number) => number, syscall: string, path: Path): string[] {
  // Most files have none, and asking for the size tells so without a buffer.
  const length = fill(null, 0)
  if (length === 0) return []
  if (length === -1 && lastErrno() === 'EOPNOTSUPP') return []
  check(length, syscall, path)
  const bytes = read((buffer) => fill(buffer, buffer.length), syscall, path) ?? new Uint8Array()
  return Buffer.from(bytes).toString().split('\0').slice(0, -1)
}

export function lgetxattr(path: Path, name: string): Uint8Array | null {
  const file = cString(path)
  const attribute = cString(name)
  return read((buffer) => getCall(file, attribute, buffer, buffer.length), 'lgetxattr', path)
}

export function lsetxattr(path: Path, name: string, value: Uint8Array): void {
  check(setCall(cString(path), cString(name), value, value.length, 0), 'lsetxattr', path)
}

/** False when there was no such attribute. */
export function lremovexattr(path: Path, name: string): boolean {
  const result = removeCall(cString(path), cString(name))
  if (result === -1 && lastErrno() === 'ENODATA') return false
  check(result, 'lremovexattr', path)
  return true
}
