import { defineErrors } from './family.ts'

/** Failures around networks, addresses and names. */
export const networkErrors = defineErrors('network', {
  not_found: { kind: 'not_found', help: 'No network of that name or id. The message lists those that exist.' },
  bad_selection: {
    kind: 'invalid_argument',
    help: '`none` and `host` stand alone; other networks are named once each.',
  },
  bad_pool: {
    kind: 'invalid_argument',
    help: 'An address pool is an IPv4 network, such as 10.10.0.0/16, and a size between its prefix and 29.',
  },
  bad_subnet: { kind: 'invalid_argument', help: 'A subnet is written as address and prefix length: 10.1.2.0/24.' },
  bad_dns: {
    kind: 'invalid_argument',
    help: 'DNS servers are IP addresses; search domains and options are words without spaces.',
  },
  bad_host_entry: {
    kind: 'invalid_argument',
    help: 'An entry of the hosts file is `name:address`; the address may be `host-gateway` where there is a gateway.',
  },
  subnets_exhausted: {
    kind: 'resource_exhausted',
    help: 'All subnets of the address pools are in use on this host. Remove networks or give more pools.',
  },
  addresses_exhausted: {
    kind: 'resource_exhausted',
    help: 'Every address of the network belongs to a container. Remove containers or use a larger subnet.',
  },
  subnet_clash: {
    kind: 'conflict',
    help: 'The subnet overlaps with an address, route or network of this host. The message names it.',
  },
})
