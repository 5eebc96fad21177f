import { mkdirSync } from 'node:fs'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { NetworkDriver, SubnetSpec } from '../driver-kit/network-driver.ts'
import { fromNodeError } from '../errors/host-errors.ts'
import { networkErrors } from '../errors/network-errors.ts'
import { waitLock } from '../host/file-lock.ts'
import type { Links } from '../host/links.ts'
import { type CallOptions, raceAbort } from '../lifetime/call-options.ts'
import { SingleFlight } from '../lifetime/single-flight.ts'
import { chooseSubnet, type TakenRange } from './address-pools.ts'
import { type HostClaims, networksLock } from './host-claims.ts'
import { readResolverForContainers } from './host-resolver.ts'
import { overlap, parseIpv4Range } from './ipv4-range.ts'
import type { AddressPool } from './network-facts.ts'
import type { NetworkRecord, NetworkRecords } from './network-records.ts'

export interface ReadyNetworksOptions {
  readonly records: NetworkRecords
  readonly links: Links
  readonly pools: readonly AddressPool[]
  readonly hostDirectory: string
  readonly claims: HostClaims
  readonly rootId: string
  /** The root's root.json. */
  readonly rootFile: string
  readonly diagnostics: DiagnosticsSink
}

/**
 * Networks whose kernel objects this process has seen in place. Subnets are chosen here, on first use, under a lock that
 * all roots of the host share: the address on the new bridge, which everybody sees, is the claim.
 */
export class ReadyNetworks {
  readonly #options: ReadyNetworksOptions
  /** Subnets that were made ready, by network. */
  readonly #ready = new Map<string, string>()
  readonly #making = new SingleFlight<string, NetworkRecord>()

  constructor(options: ReadyNetworksOptions) {
    this.#options = options
  }

  /** The record as it is after its objects were found or made. */
  async get(network: NetworkRecord, driver: NetworkDriver, call?: CallOptions): Promise<NetworkRecord> {
    if (this.#ready.get(network.id) === keyOf(network)) return network
    // Shared by everybody who waits for it, so no single caller's signal may end it.
    const making = this.#making.run(network.id, () => this.#make(network.id, driver))
    return raceAbort(making, call?.signal, `Setting up the network ${network.name}`)
  }

  /** The next `get` looks again. */
  forget(id: string): void {
    this.#ready.delete(id)
  }

  async #make(id: string, driver: NetworkDriver): Promise<NetworkRecord> {
    const { records, hostDirectory, claims, rootId, rootFile } = this.#options
    const found = records.get(id)
    if (driver.addressing === 'none') {
      await driver.create(found)
      this.#ready.set(id, keyOf(found))
      return found
    }
    try {
      mkdirSync(hostDirectory, { recursive: true, mode: 0o755 })
    } catch (error) {
      throw fromNodeError(error)
    }
    using _lock = await waitLock(networksLock(hostDirectory))
    const network = await this.#withSubnet(records.get(id))
    claims.record(rootId, rootFile)
    await driver.create(network)
    this.#ready.set(id, keyOf(network))
    return network
  }

  /** A free subnet; the bridges of deleted roots are taken back, by the way or, where nothing else is left, first. */
  async #choose(taken: () => Promise<TakenRange[]>): Promise<SubnetSpec> {
    const { pools, claims, diagnostics } = this.#options
    try {
      const subnet = chooseSubnet(pools, await taken())
      claims.collect().catch((error) => {
        const message = 'Bridges of deleted roots could not be removed.'
        diagnostics({ level: 'warning', source: 'network', message, error })
      })
      return subnet
    } catch (error) {
      if ((await claims.collect()).length === 0) throw error
      return chooseSubnet(pools, await taken())
    }
  }

  async #withSubnet(network: NetworkRecord): Promise<NetworkRecord> {
    const { records } = this.#options
    const taken = await this.#takenBesides(network)
    const clash = network.subnets
      .map(({ subnet }) => ({ subnet, range: parseIpv4Range(subnet) }))
      .map(({ subnet, range }) => ({ subnet, by: range && taken.find((other) => overlap(range, other))?.by }))
      .find(({ by }) => by)
    if (network.subnets.length > 0 && !clash) return network
    // Chosen by us and not in use: what came in its way since (after a reboot, say) keeps it.
    if (network.choosesSubnets && !records.isUsed(network.id))
      return records.setSubnets(network, [await this.#choose(() => this.#takenBesides(network))])
    throw networkErrors.error('subnet_clash', {
      message: `The network ${network.name} has the subnet ${clash?.subnet}, which ${clash?.by} of this host overlaps. Remove its containers, or that.`,
      subject: { type: 'network', id: network.name },
      details: { subnet: clash?.subnet, by: clash?.by },
    })
  }

  /** Everything on this host that an address of a new network must not be mistaken for. */
  async #takenBesides(network: NetworkRecord): Promise<TakenRange[]> {
    const { records, links } = this.#options
    const ours = new Set((await links.list()).filter((link) => link.alias === network.owner).map((link) => link.name))
    const addresses = (await links.addresses())
      .filter(({ link }) => !ours.has(link))
      .map(({ link, address }) => ({ text: address, by: `the address ${address} on ${link}` }))
    const routes = (await links.routes())
      .filter(({ destination, link }) => !destination.endsWith('/0') && (link === null || !ours.has(link)))
      .map(({ destination, link }) => ({ text: destination, by: `the route to ${destination} through ${link}` }))
    const servers = readResolverForContainers().servers.map((server) => ({
      text: server,
      by: `the DNS server ${server}`,
    }))
    const networks = records
      .all()
      .filter((other) => other.id !== network.id)
      .flatMap((other) => other.subnets.map(({ subnet }) => ({ text: subnet, by: `the network ${other.name}` })))
    return [...addresses, ...routes, ...servers, ...networks].flatMap(({ text, by }) => {
      const range = parseIpv4Range(text)
      return range ? [{ ...range, by }] : []
    })
  }
}

const keyOf = (network: NetworkRecord) => network.subnets.map(({ subnet }) => subnet).join()
