import { closeSync, fchmodSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import { errnoOf, fromNodeError } from '../errors/host-errors.ts'
import { type ResolverFiles, readHostResolvConf, readResolverForContainers, resolverFiles } from './host-resolver.ts'
import { formatHosts, ownEntries, parseExtraHost } from './hosts-file.ts'
import type { EndpointFacts, NetworkedContainer } from './network-facts.ts'
import { checkResolverOverrides, formatResolvConf, type ResolverOverrides, reachableServers } from './resolv-conf.ts'

export interface NameFilesOptions {
  readonly diagnostics: DiagnosticsSink
  /** DNS servers of containers that name none. */
  readonly dns?: readonly string[] | undefined
  readonly resolverFiles?: ResolverFiles | undefined
}

/** Writes the files hosts, hostname and resolv.conf that containers get mounted. */
export class NameFiles {
  readonly #options: NameFilesOptions
  #lacked = false

  constructor(options: NameFilesOptions) {
    this.#options = options
  }

  /** Checks what needs no network, so that bad input fails before anything is made. */
  check(container: NetworkedContainer): void {
    checkResolverOverrides(container)
    for (const entry of container.extraHosts ?? []) parseExtraHost(entry, '0.0.0.0')
  }

  write(container: NetworkedContainer, mode: 'private' | 'host', endpoints: readonly EndpointFacts[]): void {
    const addresses = endpoints.flatMap((endpoint) => endpoint.addresses)
    const gateway = mode === 'host' ? '127.0.0.1' : (endpoints.flatMap((endpoint) => endpoint.gateways)[0] ?? null)
    const extra = (container.extraHosts ?? []).map((entry) => parseExtraHost(entry, gateway))
    const hosts =
      mode === 'host'
        ? formatHosts(extra, readOptional('/etc/hosts'))
        : formatHosts([...ownEntries(addresses, container.hostname, container.name), ...extra])
    writeReadable(join(container.directory, 'hosts'), hosts)
    writeReadable(join(container.directory, 'hostname'), `${container.hostname}\n`)
    writeReadable(join(container.directory, 'resolv.conf'), this.#resolvConf(container, mode, addresses))
  }

  #resolvConf(container: NetworkedContainer, mode: 'private' | 'host', addresses: readonly string[]): string {
    const overrides: ResolverOverrides = { ...container, dns: container.dns ?? this.#options.dns }
    const files = this.#options.resolverFiles ?? resolverFiles
    const given = overrides.dns ?? overrides.dnsSearch ?? overrides.dnsOptions
    if (mode === 'host' && given === undefined) return readHostResolvConf(files)
    const found = readResolverForContainers(files)
    const ipv6 = addresses.some((address) => address.includes(':'))
    const usable = mode === 'host' ? found.servers : reachableServers(found.servers, ipv6)
    const servers = overrides.dns ?? usable
    if (servers.length === 0 && addresses.length > 0) this.#reportLack(found.servers)
    return formatResolvConf({
      servers,
      search: overrides.dnsSearch ?? found.search,
      options: overrides.dnsOptions ?? found.options,
    })
  }

  // Public servers are not made up: whom its containers ask is the user's decision.
  #reportLack(found: readonly string[]): void {
    if (this.#lacked) return
    this.#lacked = true
    const why =
      found.length === 0 ? 'names no DNS server' : `names only ${found.join(', ')}, which containers cannot reach`
    this.#options.diagnostics({
      level: 'warning',
      source: 'network',
      message: `This host ${why}, so containers resolve no names. Give servers with the option dns of Engine.open.`,
    })
  }
}

const readOptional = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return ''
    throw fromNodeError(error)
  }
}

/** Mode 0644 whatever the process's umask; in place, because a running container may have the file mounted. */
function writeReadable(path: string, text: string): void {
  try {
    const fd = openSync(path, 'w', 0o644)
    try {
      fchmodSync(fd, 0o644)
      writeSync(fd, text)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw fromNodeError(error)
  }
}
