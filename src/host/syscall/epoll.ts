import { closeSync } from 'node:fs'
import { endianness } from 'node:os'
import { bind, check, lastErrno } from './libc.ts'

const createCall = bind<[number]>('epoll_create1', 'int', ['int'])
const controlCall = bind<[number, number, number, Uint8Array]>('epoll_ctl', 'int', ['int', 'int', 'int', 'void *'])
const waitCall = bind<[number, Uint8Array, number, number]>('epoll_wait', 'int', ['int', 'void *', 'int', 'int'])

const EPOLL_CLOEXEC = 0o2000000
const ADD = 1
const REMOVE = 2
const EPOLLIN = 1
/** The structure is packed on x86-64 only. Source: sys/epoll.h. */
const EVENT_BYTES = process.arch === 'x64' ? 12 : 16
const KEY_OFFSET = EVENT_BYTES - 8
const MOST_EVENTS = 64

if (endianness() !== 'LE') throw new TypeError('tscontainer runs on little-endian machines')

/** A blocking wait for many descriptors at once. Source: epoll(7). */
export class Epoll implements Disposable {
  readonly #fd = check(createCall(EPOLL_CLOEXEC), 'epoll_create1')
  readonly #events = Buffer.alloc(EVENT_BYTES * MOST_EVENTS)

  /** `key` is told when `fd` is readable: a number below 2^32. */
  add(fd: number, key: number): void {
    const event = Buffer.alloc(EVENT_BYTES)
    event.writeUInt32LE(EPOLLIN, 0)
    event.writeUInt32LE(key, KEY_OFFSET)
    check(controlCall(this.#fd, ADD, fd, event), 'epoll_ctl')
  }

  remove(fd: number): void {
    check(controlCall(this.#fd, REMOVE, fd, Buffer.alloc(EVENT_BYTES)), 'epoll_ctl')
  }

  /** Blocks the thread until something is readable or `timeoutMs` are over; keys of what is. */
  wait(timeoutMs: number): number[] {
    const count = waitCall(this.#fd, this.#events, MOST_EVENTS, timeoutMs)
    if (count === -1 && lastErrno() === 'EINTR') return []
    check(count, 'epoll_wait')
    return Array.from({ length: count }, (_, index) => this.#events.readUInt32LE(index * EVENT_BYTES + KEY_OFFSET))
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}
