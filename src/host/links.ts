import type { CallOptions } from '../lifetime/call-options.ts'

/** A link as rtnetlink(7) shows it. */
export interface LinkInfo {
  readonly index: number
  readonly name: string
  /** `bridge`, `veth`, ...; `null` for hardware and loopback. */
  readonly kind: string | null
  readonly mac: string
  readonly mtu: number
  readonly up: boolean
  /** Index of the bridge it belongs to. */
  readonly master: number | null
  /** IFLA_IFALIAS: where we write whose a link is. */
  readonly alias: string | null
}

/** An address of a link. */
export interface LinkAddress {
  readonly link: string
  /** With prefix length. */
  readonly address: string
}

/** A route of the main table. */
export interface RouteInfo {
  /** CIDR; `0.0.0.0/0` or `::/0` for the default route. */
  readonly destination: string
  readonly gateway: string | null
  readonly link: string | null
  /** The smaller one wins. */
  readonly metric: number
  /** Bytes, when the route itself says so. */
  readonly mtu: number | null
}

/** A bridge as it should be. */
export interface BridgePlan {
  /** At most 15 bytes. */
  readonly name: string
  /** Whose it is: `tscontainer:<root id>`. A bridge of that name with another alias is never touched. */
  readonly alias: string
  /** With prefix length, IPv4 or IPv6. */
  readonly addresses: readonly string[]
  readonly mtu: number
  readonly mac?: string
}

/** Links, addresses and routes of this process's network namespace, through rtnetlink(7). */
export interface Links {
  /** All links. */
  list(call?: CallOptions): Promise<readonly LinkInfo[]>
  /** Null when there is none of this name. */
  find(name: string, call?: CallOptions): Promise<LinkInfo | null>
  /** Addresses of one link, or of all. */
  addresses(link?: string, call?: CallOptions): Promise<readonly LinkAddress[]>
  /** Unicast routes of the main table. */
  routes(call?: CallOptions): Promise<readonly RouteInfo[]>
  /**
   * Makes the bridge with its addresses and brings it up, or completes an existing one (missing addresses, down).
   *
   * @throws `host.exists` when a link of that name is no bridge or has somebody else's alias
   */
  ensureBridge(plan: BridgePlan, call?: CallOptions): Promise<LinkInfo>
  /** Idempotent. Waits for the kernel (about 20-35 ms) without stopping the event loop; nobody should await it. */
  remove(name: string, call?: CallOptions): Promise<void>
}
