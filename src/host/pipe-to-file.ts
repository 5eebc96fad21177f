import { Socket } from 'node:net'
import { duplicate } from './syscall/descriptor.ts'
import { spliceToOffset } from './syscall/splice.ts'

/**
 * Moves what a pipe holds into a file at `offset`, at most `length` bytes, inside the kernel: whatever happens to this
 * process, a byte is in the one or in the other. Gives how many were moved; 0 when the pipe is empty, null at its end.
 * The file must not be open for appending (splice(2)).
 */
export function movePipeToFile(pipe: number, file: number, offset: number, length: number): number | null {
  const moved = spliceToOffset(pipe, file, offset, length)
  return moved === 0 ? null : (moved ?? 0)
}

/**
 * Resolves when the pipe has something to read, or its end has come, without taking any of it. Node has no call for
 * that: this is a socket on a duplicate of the descriptor that has no room for what it should read, and so fails with
 * ENOBUFS when there is something (libuv: a zero-length buffer from `alloc_cb`). About 60 us a wait.
 */
export function whenReadable(pipe: number): { readonly ready: Promise<void>; cancel(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const noRoom = new Uint8Array(0)
  const onread = { buffer: noRoom, callback: () => false }
  const socket = new Socket({ fd: duplicate(pipe), readable: true, writable: false, onread })
  for (const event of ['error', 'end', 'close']) socket.once(event, () => resolve())
  socket.resume()
  return { ready: promise, cancel: () => socket.destroy() }
}
