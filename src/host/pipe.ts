import { closeSync, constants, openSync, readSync } from 'node:fs'
import { errnoOf, fromNodeError } from '../errors/host-errors.ts'
import { pipe2, setPipeSize } from './syscall/descriptor.ts'
import { mkfifo } from './syscall/file.ts'

export interface Pipe {
  /** Descriptors, both close-on-exec and blocking; the caller closes them. */
  readonly read: number
  readonly write: number
}

export function createPipe(): Pipe {
  const [read, write] = pipe2()
  return { read, write }
}

/**
 * Asks for a larger kernel buffer and gives the size it has then. Without CAP_SYS_RESOURCE the limit is
 * /proc/sys/fs/pipe-max-size, and per user `pipe-user-pages-soft`; a refusal leaves the pipe as it was.
 */
export function setPipeCapacity(fd: number, bytes: number): number | null {
  try {
    return setPipeSize(fd, bytes)
  } catch (error) {
    if (errnoOf(error) === 'EPERM' || errnoOf(error) === 'EBUSY') return null
    throw error
  }
}

/** A named pipe, mode 0600 whatever the umask (it only takes bits away). */
export function makeFifo(path: string): void {
  mkfifo(path, 0o600)
}

/**
 * Opens a named pipe without waiting for its other end.
 * - `both`: O_RDWR: reader and writer in one, so that it never sees EOF or EPIPE.
 * - `read`: reads give EOF while nobody has it open for writing.
 * - `write`: fails with ENXIO while nobody has it open for reading.
 */
export function openFifo(
  path: string,
  mode: 'both' | 'read' | 'write',
  options?: { readonly blocking?: boolean },
): number {
  const flags = { both: constants.O_RDWR, read: constants.O_RDONLY, write: constants.O_WRONLY }[mode]
  try {
    return openSync(path, flags | (options?.blocking ? 0 : constants.O_NONBLOCK))
  } catch (error) {
    throw fromNodeError(error)
  }
}

/** Everything that a non-blocking descriptor holds now; stops at EAGAIN, EOF, or once `limit` bytes are read. */
export function drainNonBlocking(fd: number, limit = Number.POSITIVE_INFINITY): Uint8Array {
  const chunks: Uint8Array[] = []
  let total = 0
  while (total < limit) {
    const chunk = Buffer.allocUnsafe(Math.min(65536, limit - total))
    let length: number
    try {
      length = readSync(fd, chunk)
    } catch (error) {
      if (errnoOf(error) === 'EAGAIN') break
      throw fromNodeError(error)
    }
    if (length === 0) break
    chunks.push(chunk.subarray(0, length))
    total += length
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, total)
}

/** Closes a descriptor; one that is closed already is no error. */
export function closeQuietly(fd: number): void {
  try {
    closeSync(fd)
  } catch (error) {
    if (errnoOf(error) !== 'EBADF') throw error
  }
}
