import { bind, check, lastErrno } from './libc.ts'

const SPLICE_F_MOVE = 1
const SPLICE_F_NONBLOCK = 2

const spliceCall = bind<[number, Uint8Array | null, number, Uint8Array | null, number, number]>('splice', 'long', [
  'int',
  'void *',
  'int',
  'void *',
  'size_t',
  'uint',
])

/** splice(2) from a pipe to a place in a file; null when the pipe is empty (EAGAIN), 0 at its end. */
export function spliceToOffset(pipe: number, file: number, offset: number, length: number): number | null {
  const place = new BigInt64Array([BigInt(offset)])
  const flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK
  const moved = spliceCall(pipe, null, file, new Uint8Array(place.buffer), length, flags)
  if (moved === -1 && lastErrno() === 'EAGAIN') return null
  return check(moved, 'splice')
}
