import { randomBytes } from 'node:crypto'
import type { EndpointId, NetworkId } from '../driver-kit/ids.ts'
import type { Attachment, NetworkSpec, SubnetSpec } from '../driver-kit/network-driver.ts'
import { networkErrors } from '../errors/network-errors.ts'
import type { Database } from '../state/database.ts'
import { parseStoredJson } from '../state/stored-json.ts'
import { type Ipv4Range, ipv4Number, ipv4Text, macOf, parseIpv4Range } from './ipv4-range.ts'
import { type ClaimCopy, type NetworkRow, readNetworkCopy, writeNetworkCopy } from './network-copies.ts'
import type { EndpointFacts } from './network-facts.ts'

/** What the column `spec` holds. */
interface StoredNetwork {
  readonly subnets: readonly SubnetSpec[]
  /** Subnets are chosen by the engine and may be chosen anew while nobody uses them. */
  readonly choosesSubnets: boolean
  readonly internal: boolean
  readonly mtu: number
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
}

export interface NetworkRecord extends NetworkSpec {
  readonly choosesSubnets: boolean
  readonly createdAt: Date
}

/** A claimed place in a network. */
export interface Claim {
  readonly endpoint: EndpointId
  readonly network: NetworkRecord
  readonly interfaceName: string
  readonly mac: string
  /** With prefix length. */
  readonly addresses: readonly string[]
}

interface EndpointRow extends Record<string, unknown> {
  readonly id: string
  readonly network: string
  readonly container: string
  readonly interface: string
  readonly mac: string
  readonly attachment: string | null
}

const insertNetwork = 'INSERT OR IGNORE INTO networks (id, name, driver, spec, created_at) VALUES (?, ?, ?, ?, ?)'
const insertEndpoint =
  'INSERT INTO endpoints (id, network, container, interface, mac, attachment, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)'
const insertAddress = 'INSERT INTO addresses (network, address, endpoint) VALUES (?, ?, ?)'
const endpointColumns = 'endpoints.id, network, container, interface, mac, attachment'

/** Names and drivers of the networks that every root has. */
const defaultNetworks = [
  { name: 'bridge', driver: 'bridge' },
  { name: 'host', driver: 'host' },
  { name: 'none', driver: 'none' },
] as const

/**
 * Networks, endpoints and addresses as recorded. Claims commit without waiting for the disk: they concern running
 * containers only, and none runs after a power loss.
 */
export class NetworkRecords {
  readonly #db: Database
  readonly #owner: string
  readonly #copy: string

  /** `copy`: the file from which networks are recorded again when the records were lost. */
  constructor(db: Database, owner: string, copy: string) {
    this.#db = db
    this.#owner = owner
    this.#copy = copy
  }

  makeDefaults(): void {
    const present = new Set(this.#db.all<{ name: string }>('SELECT name FROM networks').map((row) => row.name))
    if (defaultNetworks.every(({ name }) => present.has(name))) return
    this.#db.transaction(() => {
      // The ids of old, because bridges are named after them.
      if (present.size === 0)
        for (const row of readNetworkCopy(this.#copy))
          this.#db.run(insertNetwork, row.id, row.name, row.driver, row.spec, row.created_at)
      for (const { name, driver } of defaultNetworks) {
        const stored: StoredNetwork = {
          subnets: [],
          choosesSubnets: driver === 'bridge',
          internal: false,
          mtu: 0,
          options: {},
          labels: {},
        }
        this.#db.run(insertNetwork, randomBytes(32).toString('hex'), name, driver, JSON.stringify(stored), Date.now())
      }
      this.#writeCopy()
    })
  }

  all(): NetworkRecord[] {
    return this.#db.all<NetworkRow>('SELECT * FROM networks ORDER BY name').map((row) => this.#toRecord(row))
  }

  /** By name, id, or the first digits of an id that only one has. @throws `network.not_found` */
  get(wanted: string): NetworkRecord {
    const named = this.#db.get<NetworkRow>('SELECT * FROM networks WHERE name = ? OR id = ?', wanted, wanted)
    if (named) return this.#toRecord(named)
    const prefixed = /^[0-9a-f]{4,63}$/.test(wanted)
      ? this.#db.all<NetworkRow>('SELECT * FROM networks WHERE substr(id, 1, ?) = ?', wanted.length, wanted)
      : []
    if (prefixed.length === 1) return this.#toRecord(prefixed[0]!)
    throw networkErrors.error('not_found', {
      message: `There is no network ${JSON.stringify(wanted)}. There are: ${this.all()
        .map((network) => network.name)
        .join(', ')}.`,
      subject: { type: 'network', id: wanted },
    })
  }

  setSubnets(network: NetworkRecord, subnets: readonly SubnetSpec[]): NetworkRecord {
    const { choosesSubnets, internal, mtu, options, labels } = network
    const stored: StoredNetwork = { subnets, choosesSubnets, internal, mtu, options, labels }
    this.#db.transaction(() => {
      this.#db.run('UPDATE networks SET spec = ? WHERE id = ?', JSON.stringify(stored), network.id)
      this.#writeCopy()
    })
    return { ...network, subnets }
  }

  #writeCopy(): void {
    writeNetworkCopy(this.#copy, this.#db.all<NetworkRow>('SELECT * FROM networks ORDER BY name'))
  }

  isUsed(network: NetworkId): boolean {
    return this.#db.get('SELECT 1 FROM endpoints WHERE network = ? LIMIT 1', network) !== undefined
  }

  /** Claims a place in each network, in one transaction; gives up earlier claims of the container. */
  claim(container: string, networks: readonly NetworkRecord[]): Claim[] {
    return this.#db.transaction(() => {
      this.#db.run('DELETE FROM endpoints WHERE container = ?', container)
      return networks.map((network, index) => this.#claimOne(container, network, `eth${index}`))
    }, 'process')
  }

  recordAttachments(attachments: readonly Attachment[]): void {
    this.#db.transaction(() => {
      for (const attachment of attachments)
        this.#db.run(
          'UPDATE endpoints SET attachment = ? WHERE id = ?',
          JSON.stringify(attachment),
          attachment.endpoint,
        )
    }, 'process')
  }

  endpointsOf(container: string): EndpointFacts[] {
    return this.#db
      .all<EndpointRow>(`SELECT ${endpointColumns} FROM endpoints WHERE container = ? ORDER BY interface`, container)
      .map((row) => this.#toFacts(row))
  }

  endpointsOn(network: NetworkId): { readonly container: string; readonly facts: EndpointFacts }[] {
    return this.#db
      .all<EndpointRow>(`SELECT ${endpointColumns} FROM endpoints WHERE network = ?`, network)
      .map((row) => ({ container: row.container, facts: this.#toFacts(row) }))
  }

  attachmentsOf(driver: string): Attachment[] {
    return this.#db
      .all<EndpointRow>(
        `SELECT ${endpointColumns} FROM endpoints JOIN networks ON networks.id = network WHERE driver = ? AND attachment IS NOT NULL`,
        driver,
      )
      .map((row) => parseStoredJson<Attachment>(row.attachment!, `endpoint ${row.id}`))
  }

  /** Claims again what a running container had; what is on networks that are no more, or was given away, stays lost. */
  restore(container: string, claims: readonly ClaimCopy[]): void {
    this.#db.transaction(() => {
      if (this.#db.get('SELECT 1 FROM endpoints WHERE container = ?', container)) return
      for (const { endpoint, network, interfaceName, mac, addresses, attachment } of claims) {
        if (!this.#db.get('SELECT 1 FROM networks WHERE id = ?', network)) continue
        if (addresses.some((address) => this.#isTaken(network, address))) continue
        this.#db.run(
          insertEndpoint,
          endpoint,
          network,
          container,
          interfaceName,
          mac,
          attachment && JSON.stringify(attachment),
          Date.now(),
        )
        for (const address of addresses) this.#db.run(insertAddress, network, address, endpoint)
      }
    })
  }

  /** Gives back the claims of one container. */
  release(container: string): void {
    this.#db.transaction(() => this.#db.run('DELETE FROM endpoints WHERE container = ?', container), 'process')
  }

  /** Gives back claims of containers that are recorded no more. Safe beside others who make containers meanwhile. */
  releaseOrphans(): EndpointFacts[] {
    return this.#db.transaction(() => {
      const orphans = this.#db
        .all<EndpointRow>(`SELECT ${endpointColumns} FROM endpoints WHERE container NOT IN (SELECT id FROM containers)`)
        .map((row) => this.#toFacts(row))
      for (const orphan of orphans) this.#db.run('DELETE FROM endpoints WHERE id = ?', orphan.endpointId)
      return orphans
    }, 'process')
  }

  releaseAll(): void {
    this.#db.transaction(() => this.#db.run('DELETE FROM endpoints'))
  }

  #claimOne(container: string, network: NetworkRecord, interfaceName: string): Claim {
    const endpoint = randomBytes(32).toString('hex') as EndpointId
    const numbers = network.subnets.map((subnet) => this.#freeAddress(network, subnet))
    const mac = macOf(numbers[0]?.number ?? randomBytes(4).readUInt32BE())
    this.#db.run(insertEndpoint, endpoint, network.id, container, interfaceName, mac, null, Date.now())
    const addresses = numbers.map(({ number, range }) => {
      const address = `${ipv4Text(number)}/${range.prefix}`
      this.#db.run(insertAddress, network.id, address, endpoint)
      return address
    })
    return { endpoint, network, interfaceName, mac, addresses }
  }

  /**
   * The next free address after the last one given: an address rests as long as possible before somebody else gets it,
   * so that a dying link of its last holder cannot swallow what is sent to the new one.
   */
  #freeAddress(network: NetworkRecord, subnet: SubnetSpec): { readonly number: number; readonly range: Ipv4Range } {
    const range = parseIpv4Range(subnet.subnet)
    if (!range)
      throw networkErrors.error('bad_subnet', {
        message: `The network ${network.name} has the subnet ${subnet.subnet}, which is no IPv4 network.`,
        subject: { type: 'network', id: network.name },
      })
    const gateway = ipv4Number(subnet.gateway)
    const count = range.last - range.first - 1
    const key = cursorKey(network.id, subnet.subnet)
    const last = Number(this.#db.get<{ value: string }>('SELECT value FROM meta WHERE key = ?', key)?.value ?? 0)
    let taken: ReadonlySet<string> | null = null
    for (let step = 1; step <= count; step++) {
      const number = range.first + 1 + ((last + step - 1) % count)
      const address = `${ipv4Text(number)}/${range.prefix}`
      if (number === gateway || taken?.has(address)) continue
      if (!taken && this.#isTaken(network.id, address)) {
        taken = this.#takenOn(network.id)
        continue
      }
      this.#db.run('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)', key, String(number - range.first))
      return { number, range }
    }
    throw networkErrors.error('addresses_exhausted', {
      message: `All ${count - 1} addresses of ${subnet.subnet} (network ${network.name}) are in use. Remove containers or use a network with a larger subnet.`,
      subject: { type: 'network', id: network.name },
      details: { subnet: subnet.subnet },
    })
  }

  #isTaken(network: string, address: string): boolean {
    return this.#db.get('SELECT 1 FROM addresses WHERE network = ? AND address = ?', network, address) !== undefined
  }

  #takenOn(network: string): ReadonlySet<string> {
    const rows = this.#db.all<{ address: string }>('SELECT address FROM addresses WHERE network = ?', network)
    return new Set(rows.map(({ address }) => address))
  }

  #toRecord(row: NetworkRow): NetworkRecord {
    const stored = parseStoredJson<StoredNetwork>(row.spec, `network ${row.name}`)
    return {
      id: row.id as NetworkId,
      name: row.name,
      driver: row.driver,
      ...stored,
      owner: this.#owner,
      createdAt: new Date(row.created_at),
    }
  }

  #toFacts(row: EndpointRow): EndpointFacts {
    const network = this.get(row.network)
    const addresses = this.#db
      .all<{ address: string }>('SELECT address FROM addresses WHERE endpoint = ? ORDER BY rowid', row.id)
      .map(({ address }) => address)
    return toEndpointFacts(row.id, network, row.interface, row.mac, addresses)
  }
}

const cursorKey = (network: string, subnet: string) => `network_cursor:${network}:${subnet}`

export function toEndpointFacts(
  endpointId: string,
  network: NetworkSpec,
  interfaceName: string,
  mac: string,
  addresses: readonly string[],
): EndpointFacts {
  return {
    networkName: network.name,
    networkId: network.id,
    endpointId,
    interfaceName,
    mac,
    addresses,
    gateways: network.internal ? [] : network.subnets.map(({ gateway }) => gateway),
  }
}
