import { isIP } from 'node:net'
import { networkErrors } from '../errors/network-errors.ts'

/** What resolv.conf(5) says. */
export interface ResolverConfig {
  readonly servers: readonly string[]
  readonly search: readonly string[]
  readonly options: readonly string[]
}

/** Replaces what the host says, part by part. */
export interface ResolverOverrides {
  readonly dns?: readonly string[] | undefined
  readonly dnsSearch?: readonly string[] | undefined
  readonly dnsOptions?: readonly string[] | undefined
}

/** Reads resolv.conf(5): the last of `search` and `domain` counts, options add up, what is unknown is left out. */
export function parseResolvConf(text: string): ResolverConfig {
  const servers: string[] = []
  const options: string[] = []
  let search: readonly string[] = []
  for (const line of text.split('\n')) {
    // Comments start a line; what follows a value is no comment for the resolver either, so it is left alone.
    const [keyword, ...values] = line.trim().split(/\s+/)
    if (keyword === 'nameserver' && values[0] !== undefined) servers.push(values[0])
    else if (keyword === 'options') options.push(...values)
    else if (keyword === 'search') search = values
    else if (keyword === 'domain') search = values.slice(0, 1)
  }
  return { servers, search, options }
}

/** Whether only this machine itself can ask the server: its loopback is not the container's. */
export const isLoopback = (server: string) =>
  /^127\./.test(server) || /^(0*:)*0*:?0*1$/.test(server) || /^::ffff:127\./i.test(server)

/** The servers that a container with an address of its own can ask. */
export function reachableServers(servers: readonly string[], ipv6: boolean): string[] {
  return servers.filter((server) => {
    const version = isIP(server)
    // A zone (%eth0) names a link of the host.
    return version === 4 ? !isLoopback(server) : version === 6 && ipv6 && !isLoopback(server) && !server.includes('%')
  })
}

/** Checks what a user gave. @throws `network.bad_dns` that names key and value */
export function checkResolverOverrides(overrides: ResolverOverrides): void {
  const refuse = (key: string, value: string, wanted: string) =>
    networkErrors.error('bad_dns', {
      message: `${JSON.stringify(value)} in ${key} is not ${wanted}.`,
      subject: { type: 'option', id: key },
    })
  for (const server of overrides.dns ?? [])
    if (isIP(server) === 0) throw refuse('dns', server, 'an IP address, such as 192.0.2.53')
  for (const domain of overrides.dnsSearch ?? [])
    if (!/^\S+$/.test(domain)) throw refuse('dnsSearch', domain, 'a domain name, or "." for none')
  for (const option of overrides.dnsOptions ?? [])
    if (!/^\S+$/.test(option)) throw refuse('dnsOptions', option, 'an option of resolv.conf(5), such as ndots:2')
}

export function formatResolvConf({ servers, search, options }: ResolverConfig): string {
  const domains = search.filter((domain) => domain !== '.')
  return [
    ...servers.map((server) => `nameserver ${server}`),
    ...(domains.length > 0 ? [`search ${domains.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ]
    .map((line) => `${line}\n`)
    .join('')
}
