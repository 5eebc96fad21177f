import { createHash } from 'node:crypto'
import type { EndpointId, NetworkId } from 'tscontainer/driver-kit'

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** Name of a network's bridge: made from its id, which no two roots share, and within the kernel's 15 bytes. */
export const bridgeName = (network: NetworkId) => `tscbr${network.slice(0, 10)}`

/** Name of the host end of an endpoint's link: 60 bits of the endpoint's id. */
export function hostLinkName(endpoint: EndpointId): string {
  const digits = createHash('sha256').update(endpoint).digest().subarray(0, 12)
  return `tsc${Array.from(digits, (byte) => alphabet[byte & 31]).join('')}`
}

/** A locally administered MAC made of the gateway's address: the bridge keeps it whatever ports come and go. */
export const macOf = (ipv4: string) =>
  ['02', '42', ...ipv4.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':')
