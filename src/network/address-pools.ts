import type { SubnetSpec } from '../driver-kit/network-driver.ts'
import { networkErrors } from '../errors/network-errors.ts'
import { type Ipv4Range, ipv4Text, overlap, parseIpv4Range, rangeText } from './ipv4-range.ts'
import type { AddressPool } from './network-facts.ts'

/** Docker's, in its order. Source: docs.docker.com, "Automatic subnet allocation". */
export const defaultAddressPools: readonly AddressPool[] = [
  { base: '172.17.0.0/16', size: 16 },
  { base: '172.18.0.0/16', size: 16 },
  { base: '172.19.0.0/16', size: 16 },
  { base: '172.20.0.0/14', size: 16 },
  { base: '172.24.0.0/14', size: 16 },
  { base: '172.28.0.0/14', size: 16 },
  { base: '192.168.0.0/16', size: 20 },
]

/** Something that holds addresses already, with words for messages. */
export interface TakenRange extends Ipv4Range {
  readonly by: string
}

/** Checks the shape of pools given by a user. @throws `network.bad_pool` that names the entry */
export function checkAddressPools(pools: readonly AddressPool[]): readonly AddressPool[] {
  for (const [index, pool] of pools.entries()) {
    const range = typeof pool?.base === 'string' && pool.base.includes('/') ? parseIpv4Range(pool.base) : null
    const fits = range !== null && Number.isInteger(pool.size) && pool.size >= range.prefix && pool.size <= 29
    if (!fits || rangeText(range) !== pool.base)
      throw networkErrors.error('bad_pool', {
        message: `addressPools[${index}] is ${JSON.stringify(pool)}. Give a network such as { base: '10.10.0.0/16', size: 24 }: IPv4, no bits beyond its prefix, size between the prefix and 29.`,
        subject: { type: 'option', id: `addressPools[${index}]` },
      })
  }
  return pools
}

/** The first subnet of the pools that overlaps with nothing; its first address is the gateway. */
export function chooseSubnet(pools: readonly AddressPool[], taken: readonly TakenRange[]): SubnetSpec {
  for (const pool of pools) {
    const base = parseIpv4Range(pool.base)
    if (!base) continue
    const size = 2 ** (32 - pool.size)
    for (let first = base.first; first <= base.last; ) {
      const candidate = { first, last: first + size - 1, prefix: pool.size }
      const hindrance = taken.find((range) => overlap(range, candidate))
      if (!hindrance) return { subnet: rangeText(candidate), gateway: ipv4Text(first + 1) }
      // Straight past it: a pool may have millions of candidates.
      first = Math.max(first + size, Math.floor(hindrance.last / size) * size + size)
    }
  }
  throw networkErrors.error('subnets_exhausted', {
    message: `No free subnet is left in ${pools.map((pool) => pool.base).join(', ')}: this host uses ${taken.map((range) => `${rangeText(range)} (${range.by})`).join(', ')}. Remove networks or open the engine with more addressPools.`,
    details: { pools, taken: taken.map(rangeText) },
  })
}
