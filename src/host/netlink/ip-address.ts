import { isIP } from 'node:net'
import { hostErrors } from '../../errors/host-errors.ts'
import { AF } from '../syscall/socket.ts'

/** An address as the kernel takes it. */
export interface IpAddress {
  readonly family: typeof AF.INET | typeof AF.INET6
  readonly bytes: Uint8Array
}

export interface IpPrefix extends IpAddress {
  readonly prefix: number
}

const bad = (text: string, wanted: string) =>
  hostErrors.error('invalid', {
    message: `${JSON.stringify(text)} is not ${wanted}.`,
    subject: { type: 'address', id: text },
  })

export function parseIp(text: string): IpAddress {
  const version = isIP(text)
  if (version === 4) return { family: AF.INET, bytes: Uint8Array.from(text.split('.'), Number) }
  // isIP takes zones (%eth0), which are no part of the address.
  if (version !== 6 || text.includes('%')) throw bad(text, 'an IPv4 or IPv6 address')
  return { family: AF.INET6, bytes: parseIpv6(text) }
}

function parseIpv6(text: string): Uint8Array {
  const groups = (part: string): number[] =>
    part === ''
      ? []
      : part.split(':').flatMap((group) => {
          if (!group.includes('.')) return [Number.parseInt(group, 16)]
          const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
          return [(a << 8) | b, (c << 8) | d]
        })
  const [head = '', tail] = text.split('::')
  const first = groups(head)
  const last = tail === undefined ? [] : groups(tail)
  const all = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last]
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

/** An address with prefix length, such as `172.17.0.2/16`. */
export function parsePrefix(text: string): IpPrefix {
  const slash = text.indexOf('/')
  const digits = text.slice(slash + 1)
  if (slash < 0 || !/^\d{1,3}$/.test(digits)) throw bad(text, 'an address with a prefix length, such as 10.0.0.1/24')
  const address = parseIp(text.slice(0, slash))
  const prefix = Number(digits)
  if (prefix > address.bytes.length * 8) throw bad(text, `a prefix of at most ${address.bytes.length * 8} bits`)
  return { ...address, prefix }
}

/** RFC 5952 for IPv6: lower case, the longest run of zeros (two groups at least) as `::`. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16))
  let start = -1
  let length = 1
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === '0') end++
    if (end - i > length) [start, length] = [i, end - i]
  }
  if (start < 0) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}

export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':')
}

export function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw bad(text, 'a MAC address, such as 02:42:ac:11:00:02')
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16))
}
