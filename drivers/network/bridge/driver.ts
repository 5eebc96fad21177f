import { isIPv4 } from 'node:net'
import type {
  Attachment,
  AttachRequest,
  BridgeRules,
  CallOptions,
  DriverContext,
  EndpointId,
  NetworkDriver,
  NetworkId,
  NetworkInventory,
  NetworkSpec,
} from 'tscontainer/driver-kit'
import { bridgeErrors } from './driver-errors.ts'
import { FirewallWatch } from './firewall-watch.ts'
import { bridgeName, hostLinkName, macOf } from './names.ts'
import { checkNetworkOptions } from './options.ts'

const ownerPrefix = 'tscontainer:'
/** Everybody's maximum; what a host without a default route uses. */
const usualMtu = 1500

interface ReadyBridge {
  readonly rules: BridgeRules
  readonly mtu: number
}

/**
 * One Linux bridge per network with the gateway's address on it, and a firewall table that lets containers out under the
 * host's address and nobody in. Bridges stay when their last container goes: the next one finds them.
 */
export class BridgeDriver implements NetworkDriver {
  readonly name = 'bridge'
  readonly addressing = 'engine'
  readonly #context: DriverContext
  readonly #ready = new Map<NetworkId, ReadyBridge>()
  readonly #watch: FirewallWatch
  readonly #reported = new Set<string>()

  constructor(context: DriverContext) {
    this.#context = context
    this.#watch = new FirewallWatch(context, (rules) => this.#lookAfter(rules))
  }

  async create(spec: NetworkSpec, call?: CallOptions): Promise<void> {
    await this.#make(spec, call)
  }

  async delete(spec: NetworkSpec, call?: CallOptions): Promise<void> {
    this.#ready.delete(spec.id)
    await this.#watch.forget(bridgeName(spec.id))
    await this.#remove(bridgeName(spec.id), call)
    await this.#restoreForwarding(call)
  }

  async attach(request: AttachRequest, call?: CallOptions): Promise<Attachment> {
    const { endpoint, network, container, addresses, mac, interfaceName } = request
    const ready = this.#ready.get(network.id) ?? (await this.#make(network, call))
    // One short question when no rule of the host has changed: so foreign flushes are found where it matters.
    await this.#ensureRules(ready.rules, call)
    this.#watch.add(endpoint, ready.rules)
    return {
      endpoint,
      network: network.id,
      container,
      namespace: 'private',
      link: {
        hostName: hostLinkName(endpoint),
        bridge: ready.rules.bridge,
        name: interfaceName,
        mac,
        mtu: ready.mtu,
        addresses,
        gateways: request.defaultRoute && !network.internal ? network.subnets.map(({ gateway }) => gateway) : [],
        alias: network.owner,
      },
    }
  }

  async adopt(network: NetworkSpec, endpoint: EndpointId, call?: CallOptions): Promise<void> {
    const rules = rulesOf(network)
    this.#watch.add(endpoint, rules)
    await this.#ensureRules(rules, call)
    if (!network.internal) await this.#ensureForwarding(call)
  }

  // The link goes with its namespace: deleting it here would make somebody wait 20 ms.
  async detach(_network: NetworkSpec, endpoint: EndpointId): Promise<void> {
    this.#watch.delete(endpoint)
  }

  async reconcile(known: NetworkInventory, call?: CallOptions): Promise<{ readonly removed: readonly string[] }> {
    const { links, firewall } = this.#context.host
    const bridges = (await links.list(call)).filter(({ kind, alias }) => kind === 'bridge' && alias === known.owner)
    const recorded = new Set(known.networks.map((network) => bridgeName(network.id)))
    const present = new Set(bridges.map(({ name }) => name))
    const removed: string[] = []
    for (const name of present)
      if (!recorded.has(name)) {
        await this.#remove(name, call)
        removed.push(name)
      }
    // Living containers want their rules back after a foreign flush, also when nobody attaches for a long time.
    const used = new Set(known.attachments.map(({ network }) => network))
    for (const network of known.networks)
      if (used.has(network.id) && present.has(bridgeName(network.id)) && network.subnets.length > 0)
        await firewall.ensureBridge(rulesOf(network), call)
    return { removed }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch[Symbol.asyncDispose]()
    this.#ready.clear()
  }

  async #make(spec: NetworkSpec, call?: CallOptions): Promise<ReadyBridge> {
    const { links } = this.#context.host
    checkNetworkOptions(spec.name, spec.options)
    const wrong = spec.subnets.find(({ subnet, gateway }) => !isIPv4(gateway) || subnet.includes(':'))
    if (wrong || !spec.subnets[0])
      throw bridgeErrors.error('bad_subnet', {
        message: `The bridge network ${spec.name} has ${wrong ? `the subnet ${wrong.subnet}` : 'no subnet'}. Give it IPv4 subnets only.`,
        subject: { type: 'network', id: spec.name },
      })
    const rules = rulesOf(spec)
    const existed = (await links.find(rules.bridge, call)) !== null
    try {
      // The rules first: where the kernel cannot have them, nothing else is made.
      await this.#ensureRules(rules, call)
      if (!spec.internal) await this.#ensureForwarding(call)
      const link = await links.ensureBridge(
        {
          name: rules.bridge,
          alias: spec.owner,
          addresses: spec.subnets.map(({ subnet, gateway }) => `${gateway}/${subnet.split('/')[1]}`),
          mtu: spec.mtu > 0 ? spec.mtu : await this.#hostMtu(call),
          mac: macOf(spec.subnets[0].gateway),
        },
        call,
      )
      const ready = { rules, mtu: link.mtu }
      this.#ready.set(spec.id, ready)
      return ready
    } catch (error) {
      if (!existed) await this.#undo(rules.bridge)
      throw error
    }
  }

  /** A bridge that another process has taken away must not get its rules back. */
  async #lookAfter(rules: BridgeRules): Promise<boolean> {
    if ((await this.#context.host.links.find(rules.bridge)) === null) return false
    if (!rules.internal) await this.#ensureForwarding()
    return this.#ensureRules(rules)
  }

  async #undo(bridge: string): Promise<void> {
    try {
      await this.#context.host.firewall.removeBridge(bridge)
      await this.#restoreForwarding()
    } catch (error) {
      const message = `What was half made for ${bridge} could not be removed; the next reset does it.`
      this.#context.diagnostics({ level: 'debug', source: 'network.bridge', message, error })
    }
  }

  async #ensureRules(rules: BridgeRules, call?: CallOptions): Promise<boolean> {
    const { changed, obstacles } = await this.#context.host.firewall.ensureBridge(rules, call)
    for (const obstacle of obstacles)
      this.#reportOnce(
        `The firewall of this host drops what containers on ${rules.bridge} send through it, and an accept could not be added: ${obstacle}`,
      )
    return changed
  }

  async #ensureForwarding(call?: CallOptions): Promise<void> {
    const { changed } = await this.#context.host.firewall.ensureForwarding(call)
    if (changed)
      this.#reportOnce(
        'net.ipv4.ip_forward was 0 and is 1 now, because containers on a bridge reach nothing without it. This host forwards packets between its other interfaces too, unless its firewall forbids it. A reset of the last data root puts the setting back.',
      )
  }

  async #restoreForwarding(call?: CallOptions): Promise<void> {
    const { links, firewall } = this.#context.host
    const others = (await links.list(call)).some(
      ({ kind, alias }) => kind === 'bridge' && alias?.startsWith(ownerPrefix),
    )
    if (!others) await firewall.restoreForwarding(call)
  }

  async #remove(bridge: string, call?: CallOptions): Promise<void> {
    await this.#context.host.firewall.removeBridge(bridge, call)
    await this.#context.host.links.remove(bridge, call)
  }

  async #hostMtu(call?: CallOptions): Promise<number> {
    const { links } = this.#context.host
    const [route] = (await links.routes(call))
      .filter(({ destination, link }) => destination === '0.0.0.0/0' && link !== null)
      .sort((a, b) => a.metric - b.metric)
    if (!route?.link) return usualMtu
    return route.mtu ?? (await links.find(route.link, call))?.mtu ?? usualMtu
  }

  #reportOnce(message: string): void {
    if (this.#reported.has(message)) return
    this.#reported.add(message)
    this.#context.diagnostics({ level: 'warning', source: 'network.bridge', message })
  }
}

const rulesOf = (spec: NetworkSpec): BridgeRules => ({
  bridge: bridgeName(spec.id),
  subnets: spec.subnets.map(({ subnet }) => subnet),
  internal: spec.internal,
})
