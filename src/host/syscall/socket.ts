import { bind, bindAsync, check, lastErrno } from './libc.ts'

/** Source: linux/socket.h, linux/netlink.h. */
export const AF = { UNSPEC: 0, UNIX: 1, INET: 2, INET6: 10, NETLINK: 16 } as const
export const SOCK = { STREAM: 1, DGRAM: 2, RAW: 3, SEQPACKET: 5, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const
export const NETLINK = { ROUTE: 0, NETFILTER: 12, GENERIC: 16 } as const
export const MSG = { PEEK: 2, TRUNC: 0x20, DONTWAIT: 0x40 } as const
export const SOL = { SOCKET: 1, NETLINK: 270 } as const

const socketCall = bind<[number, number, number]>('socket', 'int', ['int', 'int', 'int'])
const bindCall = bind<[number, Uint8Array, number]>('bind', 'int', ['int', 'void *', 'uint'])
const sendCall = bind<[number, Uint8Array, number, number, Uint8Array | null, number]>('sendto', 'long', [
  'int',
  'void *',
  'size_t',
  'int',
  'void *',
  'uint',
])
const sendAsyncCall = bindAsync<[number, Uint8Array, number, number, Uint8Array | null, number]>('sendto', 'long', [
  'int',
  'void *',
  'size_t',
  'int',
  'void *',
  'uint',
])
const recvCall = bind<[number, Uint8Array, number, number]>('recv', 'long', ['int', 'void *', 'size_t', 'int'])
const setsockoptCall = bind<[number, number, number, Uint8Array, number]>('setsockopt', 'int', [
  'int',
  'int',
  'int',
  'void *',
  'uint',
])

/** socket(2), always close-on-exec. It belongs to the calling thread's network namespace. */
export function socket(family: number, type: number, protocol: number): number {
  return check(socketCall(family, type | SOCK.CLOEXEC, protocol), 'socket')
}

/** bind(2) with a raw sockaddr. */
export function bindSocket(fd: number, address: Uint8Array): void {
  check(bindCall(fd, address, address.length), 'bind')
}

/** sendto(2); gives the bytes taken. */
export function sendTo(fd: number, bytes: Uint8Array, address: Uint8Array | null = null, flags = 0): number {
  return check(sendCall(fd, bytes, bytes.length, flags, address, address?.length ?? 0), 'sendto')
}

/** sendto(2) in a pool thread; false when it failed, whyever. `bytes` must not change meanwhile. */
export async function sendInBackground(fd: number, bytes: Uint8Array): Promise<boolean> {
  return (await sendAsyncCall(fd, bytes, bytes.length, 0, null, 0)) !== -1
}

/** recv(2) into `buffer`; gives the length, or `null` when nothing is there on a non-blocking call. */
export function receive(fd: number, buffer: Uint8Array, flags = 0): number | null {
  const length = recvCall(fd, buffer, buffer.length, flags)
  if (length === -1 && lastErrno() === 'EAGAIN') return null
  return check(length, 'recv')
}

export function setSocketOption(fd: number, level: number, option: number, value: Uint8Array): void {
  check(setsockoptCall(fd, level, option, value, value.length), 'setsockopt')
}
