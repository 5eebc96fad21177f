import { isIPv4 } from 'node:net'

/** An IPv4 network as numbers: first and last address. */
export interface Ipv4Range {
  readonly first: number
  readonly last: number
  readonly prefix: number
}

export function ipv4Number(text: string): number {
  return text.split('.').reduce((number, part) => number * 256 + Number(part), 0)
}

export function ipv4Text(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.')
}

/** The network that an address with prefix length (none: /32) lies in; `null` for anything else, IPv6 included. */
export function parseIpv4Range(text: string): Ipv4Range | null {
  const [address = '', digits = '32', ...rest] = text.split('/')
  const prefix = Number(digits)
  if (!isIPv4(address) || rest.length > 0 || !/^\d{1,2}$/.test(digits) || prefix > 32) return null
  const size = 2 ** (32 - prefix)
  const first = Math.floor(ipv4Number(address) / size) * size
  return { first, last: first + size - 1, prefix }
}

export const rangeText = ({ first, prefix }: Ipv4Range) => `${ipv4Text(first)}/${prefix}`

export const overlap = (a: Ipv4Range, b: Ipv4Range) => a.first <= b.last && b.first <= a.last

/** A locally administered MAC that says the address, so that an address used again never meets a stale neighbour entry. */
export const macOf = (address: number) =>
  ['02', '42', ...[24, 16, 8, 0].map((shift) => ((address >>> shift) & 0xff).toString(16).padStart(2, '0'))].join(':')
