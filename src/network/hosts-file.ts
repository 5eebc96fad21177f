import { isIP } from 'node:net'
import { networkErrors } from '../errors/network-errors.ts'

export interface HostsEntry {
  readonly name: string
  readonly address: string
}

const localEntries = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`

/**
 * Reads `name:address` (or `name=address`, IPv6 in brackets or not); `host-gateway` stands for `gateway`.
 *
 * @throws `network.bad_host_entry` that names the entry
 */
export function parseExtraHost(entry: string, gateway: string | null): HostsEntry {
  const refuse = (why: string) =>
    networkErrors.error('bad_host_entry', {
      message: `${JSON.stringify(entry)} in extraHosts ${why}.`,
      subject: { type: 'option', id: 'extraHosts' },
    })
  const [, name, given] = /^([^\s:=]+)[:=](.+)$/.exec(entry) ?? []
  if (name === undefined || given === undefined) throw refuse('is not name:address, such as db:10.0.0.5')
  if (given === 'host-gateway') {
    if (gateway === null) throw refuse('cannot be used here: the container has no gateway')
    return { name, address: gateway }
  }
  const address = given.replace(/^\[(.*)\]$/, '$1')
  if (isIP(address) === 0) throw refuse(`has no IP address: ${given}`)
  return { name, address }
}

/** `base`: what stands first; default localhost and the usual IPv6 names. */
export function formatHosts(entries: readonly HostsEntry[], base = localEntries): string {
  const start = base === '' || base.endsWith('\n') ? base : `${base}\n`
  return start + entries.map(({ name, address }) => `${address}\t${name}\n`).join('')
}

/** The container's own lines: host name, its first label when it has several, and the container's name. */
export function ownEntries(addresses: readonly string[], hostname: string, name: string): HostsEntry[] {
  const label = hostname.split('.')[0]!
  const names = new Set([hostname, label, name].filter((text) => /^[A-Za-z0-9_][\w.-]*$/.test(text)))
  if (names.size === 0) return []
  return addresses.map((address) => ({ name: [...names].join(' '), address: address.split('/')[0]! }))
}
