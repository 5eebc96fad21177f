import type { ContainerId } from '../driver-kit/ids.ts'
import type { Attachment, NetworkDriver } from '../driver-kit/network-driver.ts'
import { errnoOf } from '../errors/host-errors.ts'
import { networkErrors } from '../errors/network-errors.ts'
import type { Netns } from '../host/launcher.ts'
import type { VethPlan } from '../host/netns-plan.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { type Scope, withRollback } from '../lifetime/scope.ts'
import { checkAddressPools, defaultAddressPools } from './address-pools.ts'
import { HostClaims } from './host-claims.ts'
import { NameFiles } from './name-files.ts'
import { type ClaimCopy, readClaims, writeClaims } from './network-copies.ts'
import type {
  AttachedNetworks,
  EndpointFacts,
  NetworkedContainer,
  NetworkInspect,
  NetworkServiceOptions,
  WantedNetworks,
} from './network-facts.ts'
import { type Claim, type NetworkRecord, NetworkRecords, toEndpointFacts } from './network-records.ts'
import { ReadyNetworks } from './ready-networks.ts'
import { checkResolverOverrides } from './resolv-conf.ts'

/** A container's place, before its namespace is made. */
interface Place {
  readonly network: NetworkRecord
  readonly driver: NetworkDriver
}

/**
 * Networks of a root and the containers on them. The engine claims addresses in its records, drivers make what several
 * containers share and describe links, the launcher makes each namespace with all its links in one step.
 */
export class NetworkService {
  readonly #options: NetworkServiceOptions
  readonly #records: NetworkRecords
  readonly #ready: ReadyNetworks
  readonly #files: NameFiles
  readonly #claims: HostClaims

  /** @throws `network.bad_pool`, `network.bad_dns` */
  constructor(options: NetworkServiceOptions) {
    const pools = checkAddressPools(options.addressPools ?? defaultAddressPools)
    checkResolverOverrides({ dns: options.dns })
    this.#options = options
    this.#records = new NetworkRecords(options.db, ownerOf(options.rootId), options.copy)
    const hostDirectory = options.hostDirectory ?? '/run/tscontainer'
    this.#claims = new HostClaims(hostDirectory, options.host)
    this.#ready = new ReadyNetworks({
      records: this.#records,
      links: options.host.links,
      pools,
      hostDirectory,
      claims: this.#claims,
      rootId: options.rootId,
      rootFile: options.rootFile,
      diagnostics: options.diagnostics,
    })
    this.#files = new NameFiles(options)
  }

  /** Makes the records of the networks that every root has; nothing on the host before their first use. */
  open(): void {
    this.#records.makeDefaults()
  }

  /**
   * Claims addresses, makes the namespace with its links, and writes the files hosts, hostname and resolv.conf. Undoes
   * everything when it fails or is aborted.
   *
   * @throws `network.not_found`, `network.bad_selection`, `network.addresses_exhausted`, `network.subnets_exhausted`,
   *   `network.subnet_clash`, `network.bad_dns`, `network.bad_host_entry`, and what the driver throws
   */
  async attach(container: NetworkedContainer, wanted: WantedNetworks, call?: CallOptions): Promise<AttachedNetworks> {
    throwIfAborted(call, `Connecting container ${container.name}`)
    this.#files.check(container)
    const networks = this.#select(wanted)
    const places = await Promise.all(networks.map((network) => this.#open(network, call)))
    // What an earlier run of it may have left.
    await this.detach(container.id)
    return withRollback(async (rollback) => {
      try {
        return await this.#attachOnce(container, places, rollback, call)
      } catch (error) {
        // A bridge was removed behind our back: made anew, once.
        if (errnoOf(error) !== 'ENODEV') throw error
        await this.detach(container.id)
        for (const { network } of places) this.#ready.forget(network.id)
        await Promise.all(places.map(({ network, driver }) => this.#ready.get(network, driver, call)))
        return this.#attachOnce(container, places, rollback, call)
      }
    })
  }

  /** Gives the claims of a container back; its links go with its namespace. Idempotent. */
  async detach(container: string, call?: CallOptions): Promise<void> {
    const endpoints = this.#records.endpointsOf(container)
    if (endpoints.length === 0) return
    for (const endpoint of endpoints) await this.#detachOne(endpoint, call)
    this.#records.release(container)
  }

  /** Claims again what a container that runs has by the copy in its directory; for records that were lost. */
  restore(container: string, directory: string): void {
    this.#records.restore(container, readClaims(directory))
  }

  /** Looks after the networks of a running container whose holder died; `detach` ends it. */
  async adopt(container: string, call?: CallOptions): Promise<void> {
    for (const { networkId, endpointId } of this.#records.endpointsOf(container)) {
      const network = this.#records.get(networkId)
      try {
        const driver = await this.#options.driver(network.driver, call)
        await driver.adopt?.(network, endpointId as Claim['endpoint'], call)
      } catch (error) {
        throwIfAborted(call)
        // It runs all the same, and the next look may succeed.
        this.#options.diagnostics({
          level: 'warning',
          source: 'network',
          message: `The network ${network.name} of an adopted container could not be looked after.`,
          error,
          subject: container,
        })
      }
    }
  }

  /** The places of a container that has been attached and not detached. */
  endpoints(container: string): readonly EndpointFacts[] {
    return this.#records.endpointsOf(container)
  }

  /** @throws `network.not_found` */
  inspect(nameOrId: string): NetworkInspect {
    return this.#inspect(this.#records.get(nameOrId))
  }

  /** All networks, by name. */
  list(): readonly NetworkInspect[] {
    return this.#records.all().map((network) => this.#inspect(network))
  }

  /**
   * Gives back what containers left that are recorded no more, and lets each driver in use compare the host with the
   * records. Drivers whose networks nobody has used yet are not opened.
   */
  async reconcile(
    call?: CallOptions,
  ): Promise<{ readonly endpoints: readonly string[]; readonly objects: readonly string[] }> {
    const orphans = this.#records.releaseOrphans()
    const objects: string[] = []
    const networks = this.#records.all()
    for (const name of new Set(networks.filter(({ subnets }) => subnets.length > 0).map(({ driver }) => driver))) {
      const driver = await this.#options.driver(name, call)
      const { removed } = await driver.reconcile(
        {
          owner: ownerOf(this.#options.rootId),
          networks: networks.filter((network) => network.driver === name),
          attachments: this.#records.attachmentsOf(name),
        },
        call,
      )
      objects.push(...removed)
    }
    return { endpoints: orphans.map(({ endpointId }) => endpointId), objects }
  }

  /** Removes everything of this root's networks from the host; the records stay, subnets are chosen anew. Idempotent. */
  async reset(call?: CallOptions): Promise<void> {
    this.#records.releaseAll()
    for (const network of this.#records.all()) {
      if (network.subnets.length === 0) continue
      const driver = await this.#options.driver(network.driver, call)
      await driver.delete(network, call)
      this.#ready.forget(network.id)
      if (network.choosesSubnets) this.#records.setSubnets(network, [])
    }
    this.#claims.forget(this.#options.rootId)
  }

  /** Removes the bridges that deleted roots left on this host; for `gc`. Gives their names. */
  collectOrphans(): Promise<readonly string[]> {
    return this.#claims.collectAll()
  }

  async #attachOnce(
    container: NetworkedContainer,
    places: readonly Place[],
    rollback: Scope,
    call?: CallOptions,
  ): Promise<AttachedNetworks> {
    const claims = this.#claim(container, places, rollback)
    const attachments: Attachment[] = []
    for (const { driver, claim, defaultRoute } of claims)
      attachments.push(
        await driver.attach(
          {
            network: claim.network,
            endpoint: claim.endpoint,
            container: container.id as ContainerId,
            addresses: claim.addresses,
            mac: claim.mac,
            interfaceName: claim.interfaceName,
            defaultRoute,
          },
          call,
        ),
      )
    const endpoints = claims
      .filter(({ driver }) => driver.addressing === 'engine')
      .map(({ claim: { endpoint, network, interfaceName, mac, addresses } }) =>
        toEndpointFacts(endpoint, network, interfaceName, mac, addresses),
      )
    if (endpoints.length > 0) this.#records.recordAttachments(attachments)
    if (container.durable && endpoints.length > 0) writeClaims(container.directory, claims.map(toCopy(attachments)))
    if (attachments.some(({ namespace }) => namespace === 'host')) {
      this.#files.write(container, 'host', [])
      return { namespace: 'host', endpoints: [], release: async () => {} }
    }
    const links = attachments.flatMap(({ link }) => link ?? [])
    const netns = await this.#makeNamespace(container, links, endpoints, call)
    return { namespace: netns.path, endpoints, release: () => Promise.resolve(netns[Symbol.asyncDispose]()) }
  }

  /** The thread makes the namespace while this one writes the files. */
  async #makeNamespace(
    container: NetworkedContainer,
    links: readonly VethPlan[],
    endpoints: readonly EndpointFacts[],
    call?: CallOptions,
  ): Promise<Netns> {
    const making = this.#options.host.launcher.createNetns({ links }, call)
    try {
      this.#files.write(container, 'private', endpoints)
    } catch (error) {
      await making.then(
        (netns) => netns[Symbol.asyncDispose](),
        () => {},
      )
      throw error
    }
    return making
  }

  #claim(
    container: NetworkedContainer,
    places: readonly Place[],
    rollback: Scope,
  ): { readonly driver: NetworkDriver; readonly claim: Claim; readonly defaultRoute: boolean }[] {
    const addressed = places.filter(({ driver }) => driver.addressing === 'engine')
    const gateway = addressed.find(({ network }) => !network.internal)
    if (addressed.length === 0) {
      // Nothing to claim and so nothing to record: none and host stay off the disk.
      return places.map(({ network, driver }) => ({
        driver,
        claim: unaddressed(container.id, network),
        defaultRoute: false,
      }))
    }
    const claims = this.#records.claim(
      container.id,
      addressed.map(({ network }) => network),
    )
    rollback.defer(() => this.detach(container.id))
    return addressed.map((place, index) => ({
      driver: place.driver,
      claim: claims[index]!,
      defaultRoute: place === gateway,
    }))
  }

  #select(wanted: WantedNetworks): NetworkRecord[] {
    const names = typeof wanted === 'string' ? [wanted] : wanted
    const networks = names.map((name) => this.#records.get(name))
    const alone = networks.find(({ driver }) => driver === 'none' || driver === 'host')
    const twice = networks.find(({ id }, index) => networks.findIndex((other) => other.id === id) !== index)
    if (networks.length === 0 || twice || (alone && networks.length > 1))
      throw networkErrors.error('bad_selection', {
        message: twice
          ? `The network ${twice.name} is named twice.`
          : alone
            ? `The network ${alone.name} cannot be combined with others: ${names.join(', ')}.`
            : "No network is named. Use 'none' for a container with loopback only.",
        subject: { type: 'network', id: names.join(',') },
      })
    return networks
  }

  async #open(network: NetworkRecord, call?: CallOptions): Promise<Place> {
    const driver = await this.#options.driver(network.driver, call)
    return { driver, network: await this.#ready.get(network, driver, call) }
  }

  async #detachOne(endpoint: EndpointFacts, call?: CallOptions): Promise<void> {
    const network = this.#records.get(endpoint.networkId)
    try {
      const driver = await this.#options.driver(network.driver, call)
      await driver.detach(network, endpoint.endpointId as Claim['endpoint'], call)
    } catch (error) {
      throwIfAborted(call)
      // A container must be removable also where its driver does not work any more.
      this.#options.diagnostics({
        level: 'warning',
        source: 'network',
        message: `The driver ${network.driver} could not let go of an endpoint on ${network.name}; its claims are given back all the same.`,
        error,
        subject: endpoint.endpointId,
      })
    }
  }

  #inspect(network: NetworkRecord): NetworkInspect {
    const { id, name, driver, subnets, internal, options, labels, createdAt } = network
    const endpoints = Object.fromEntries(
      this.#records.endpointsOn(id).map(({ container, facts }) => [container, facts] as const),
    )
    return { id, name, driver, subnets, internal, options, labels, createdAt, endpoints }
  }
}

const ownerOf = (rootId: string) => `tscontainer:${rootId}`

const toCopy =
  (attachments: readonly Attachment[]) =>
  ({ claim }: { readonly claim: Claim }): ClaimCopy => ({
    endpoint: claim.endpoint,
    network: claim.network.id,
    interfaceName: claim.interfaceName,
    mac: claim.mac,
    addresses: claim.addresses,
    attachment: attachments.find(({ endpoint }) => endpoint === claim.endpoint) ?? null,
  })

const unaddressed = (container: string, network: NetworkRecord): Claim => ({
  endpoint: `${network.driver}-${container}` as Claim['endpoint'],
  network,
  interfaceName: '',
  mac: '',
  addresses: [],
})
