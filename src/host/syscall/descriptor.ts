import { constants } from 'node:fs'
import { O_CLOEXEC } from './file.ts'
import { bind, check, lastErrno } from './libc.ts'

const F_GETFL = 3
const F_SETFL = 4
const F_DUPFD_CLOEXEC = 1030
const F_SETPIPE_SZ = 1031
const F_GETPIPE_SZ = 1032

const pipe2Call = bind<[Uint8Array, number]>('pipe2', 'int', ['void *', 'int'])
const fcntlCall = bind<[number, number, number]>('fcntl', 'int', ['int', 'int', 'long'])
const pollCall = bind<[Uint8Array, number, number]>('poll', 'int', ['void *', 'ulong', 'int'])
const closeCall = bind<[number]>('close', 'int', ['int'])
const flockCall = bind<[number, number]>('flock', 'int', ['int', 'int'])

/** pipe2(2) with O_CLOEXEC: [read end, write end]. */
export function pipe2(): [read: number, write: number] {
  const ends = new Int32Array(2)
  check(pipe2Call(new Uint8Array(ends.buffer), O_CLOEXEC), 'pipe2')
  return [ends[0]!, ends[1]!]
}

/**
 * close(2), for what a thread that Node watches has got from the kernel past Node: Node warns when it is told to close a
 * descriptor there that it has not opened.
 */
export function closeDescriptor(fd: number): void {
  check(closeCall(fd), 'close')
}

/** Asks for a pipe of at least `bytes`; gives the size it has afterwards. */
export function setPipeSize(fd: number, bytes: number): number {
  return check(fcntlCall(fd, F_SETPIPE_SZ, bytes), 'fcntl(F_SETPIPE_SZ)')
}

export function getPipeSize(fd: number): number {
  return check(fcntlCall(fd, F_GETPIPE_SZ, 0), 'fcntl(F_GETPIPE_SZ)')
}

/** A second descriptor of the same open file, close-on-exec. */
export function duplicate(fd: number): number {
  return duplicateFrom(fd, 3)
}

/** The same with a number of at least `lowest`. */
export function duplicateFrom(fd: number, lowest: number): number {
  return check(fcntlCall(fd, F_DUPFD_CLOEXEC, lowest), 'fcntl(F_DUPFD_CLOEXEC)')
}

export function setNonBlocking(fd: number, on: boolean): void {
  const flags = check(fcntlCall(fd, F_GETFL, 0), 'fcntl')
  const wanted = on ? flags | constants.O_NONBLOCK : flags & ~constants.O_NONBLOCK
  check(fcntlCall(fd, F_SETFL, wanted), 'fcntl')
}

/** Blocks the thread until a descriptor takes bytes, or nobody reads them any more, or the time is over. Source: poll(2). */
export function waitWritable(fd: number, timeoutMs: number): void {
  const POLLOUT = 4
  // struct pollfd: int fd; short events, revents.
  const entry = new Int32Array([fd, POLLOUT])
  if (pollCall(new Uint8Array(entry.buffer), 1, timeoutMs) === -1 && lastErrno() !== 'EINTR') check(-1, 'poll')
}

/** flock(2) without waiting; false when another open file holds it. */
export function tryFlock(fd: number, mode: 'exclusive' | 'shared'): boolean {
  const LOCK_NB = 4
  const result = flockCall(fd, LOCK_NB | (mode === 'exclusive' ? 2 : 1))
  if (result === -1 && lastErrno() === 'EAGAIN') return false
  check(result, 'flock')
  return true
}

const eventfdCall = bind<[number, number]>('eventfd', 'int', ['uint', 'int'])

/** eventfd(2): a counter that starts at 0, non-blocking, close-on-exec. */
export function eventfd(): number {
  return check(eventfdCall(0, O_CLOEXEC | constants.O_NONBLOCK), 'eventfd')
}
