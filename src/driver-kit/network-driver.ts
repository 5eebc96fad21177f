import type { VethPlan } from '../host/netns-plan.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { ContainerId, EndpointId, NetworkId } from './ids.ts'

/** An address range of a network. */
export interface SubnetSpec {
  /** CIDR. */
  readonly subnet: string
  readonly gateway: string
}

/** A network as recorded. */
export interface NetworkSpec {
  readonly id: NetworkId
  readonly name: string
  readonly driver: string
  readonly subnets: readonly SubnetSpec[]
  readonly internal: boolean
  /** Bytes; 0 for that of the host's default route. */
  readonly mtu: number
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** Marks the data root's objects on the host: `tscontainer:<root id>`. */
  readonly owner: string
}

/** One container's wish to be on one network; its addresses were claimed by the engine. */
export interface AttachRequest {
  readonly network: NetworkSpec
  readonly endpoint: EndpointId
  readonly container: ContainerId
  /** With prefix length; one per subnet, in the order of `network.subnets`. Empty for drivers without addresses. */
  readonly addresses: readonly string[]
  readonly mac: string
  /** Name of the interface inside: eth0, eth1, ... */
  readonly interfaceName: string
  /** Whether the container's default route leads through this network; true for one of its networks at most. */
  readonly defaultRoute: boolean
}

/** Which network namespace a container gets. */
export type NamespaceMode = 'private' | 'host'

/** An endpoint as data: what to make inside the container's namespace. */
export interface Attachment {
  readonly endpoint: EndpointId
  readonly network: NetworkId
  readonly container: ContainerId
  readonly namespace: NamespaceMode
  readonly link: VethPlan | null
}

/** Everything the engine's records say about one driver's networks. */
export interface NetworkInventory {
  /** As in `NetworkSpec`. */
  readonly owner: string
  readonly networks: readonly NetworkSpec[]
  readonly attachments: readonly Attachment[]
}

/**
 * # Network drivers
 *
 * Make networks on the host and describe endpoints. Addresses are the engine's: claimed in its records, handed in. A
 * driver makes what several containers share (bridge, firewall rules) and gives back each endpoint as data; the engine
 * makes the namespace and all its links in one step in the launcher thread. An endpoint's link vanishes with its
 * namespace, so `detach` only takes back what lies outside of it.
 */
export interface NetworkDriver extends AsyncDisposable {
  readonly name: string
  /** Whether the engine must claim addresses and subnets for its networks. */
  readonly addressing: 'engine' | 'none'
  /**
   * Makes the network's kernel objects, or finds them; idempotent, so it also repairs. Called before a process's first
   * `attach`, and again when the kernel says that something is missing.
   */
  create(spec: NetworkSpec, call?: CallOptions): Promise<void>
  /** Takes them back; idempotent. */
  delete(spec: NetworkSpec, call?: CallOptions): Promise<void>
  /** On the path of every start: within a fraction of a millisecond. */
  attach(request: AttachRequest, call?: CallOptions): Promise<Attachment>
  /**
   * This process looks after an endpoint from now on that another one attached and left (by its death); `detach` ends
   * that. For drivers that watch over something while containers run. Idempotent.
   */
  adopt?(network: NetworkSpec, endpoint: EndpointId, call?: CallOptions): Promise<void>
  /** Idempotent. */
  detach(network: NetworkSpec, endpoint: EndpointId, call?: CallOptions): Promise<void>
  /**
   * Compares the kernel with what is recorded: repairs what living attachments need, removes this root's objects that
   * no record knows. Gives their names.
   */
  reconcile(known: NetworkInventory, call?: CallOptions): Promise<{ readonly removed: readonly string[] }>
}
