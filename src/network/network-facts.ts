import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { DriverHost } from '../driver-kit/driver-host.ts'
import type { NetworkDriver, SubnetSpec } from '../driver-kit/network-driver.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Database } from '../state/database.ts'

/** Where subnets are taken from: `base` is cut into networks with a prefix of `size` bits. */
export interface AddressPool {
  /** CIDR, IPv4. */
  readonly base: string
  /** Prefix length of each subnet. */
  readonly size: number
}

export interface NetworkServiceOptions {
  readonly db: Database
  readonly host: Pick<DriverHost, 'links' | 'launcher' | 'firewall'>
  /** Opens a driver by its name, on first use; throws a typed error that says what the machine lacks. */
  readonly driver: (name: string, call?: CallOptions) => Promise<NetworkDriver>
  readonly rootId: string
  /** Path of the root's root.json: while that file is there, nobody takes the root's bridges away. */
  readonly rootFile: string
  /** The file that keeps a copy of the networks, from which they are recorded again when the records were lost. */
  readonly copy: string
  readonly diagnostics: DiagnosticsSink
  /** Default: Docker's, 172.17.0.0/16 first. */
  readonly addressPools?: readonly AddressPool[] | undefined
  /** DNS servers of containers that name none. Default: the host's. */
  readonly dns?: readonly string[] | undefined
  /** What all roots of this host share: the lock under which subnets are chosen. Default /run/tscontainer. */
  readonly hostDirectory?: string | undefined
}

/** What the names service wants to know about a container. */
export interface NetworkedContainer {
  readonly id: string
  readonly name: string
  readonly hostname: string
  /** Existing directory that gets the files hosts, hostname and resolv.conf. */
  readonly directory: string
  /** It may outlive this process: its claims are kept in a file of the directory, too. Default false. */
  readonly durable?: boolean | undefined
  /** Lines of the hosts file: `name:address`, address may be `host-gateway`. */
  readonly extraHosts?: readonly string[] | undefined
  /** Each replaces what the host says. */
  readonly dns?: readonly string[] | undefined
  readonly dnsSearch?: readonly string[] | undefined
  readonly dnsOptions?: readonly string[] | undefined
}

/** Names or ids of networks; `none`: loopback only; `host`: this machine's own stack. */
export type WantedNetworks = readonly string[] | 'none' | 'host'

/** A container's place in one network. */
export interface EndpointFacts {
  readonly networkName: string
  readonly networkId: string
  readonly endpointId: string
  /** Inside the container: eth0, eth1, ... */
  readonly interfaceName: string
  readonly mac: string
  /** With prefix length. */
  readonly addresses: readonly string[]
  readonly gateways: readonly string[]
}

/** A container's place in its networks while it runs. */
export interface AttachedNetworks {
  /** Path of its network namespace, or `host` for this machine's own. */
  readonly namespace: string
  readonly endpoints: readonly EndpointFacts[]
  /** Lets go of the namespace; the kernel removes it with its links when no process is left in it. */
  release(): Promise<void>
}

/** Everything known about a network at one moment. */
export interface NetworkInspect {
  readonly id: string
  readonly name: string
  readonly driver: string
  /** Empty before the first use of a network whose subnet is chosen by itself. */
  readonly subnets: readonly SubnetSpec[]
  readonly internal: boolean
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly createdAt: Date
  /** By container id. */
  readonly endpoints: Readonly<Record<string, EndpointFacts>>
}
