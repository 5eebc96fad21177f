/** A veth pair: its host end joins a bridge, its other end is born inside the namespace. */
export interface VethPlan {
  /** Name on the host, at most 15 bytes; unique on the host. */
  readonly hostName: string
  /** Name of the bridge it joins. */
  readonly bridge: string
  /** Name inside the namespace, usually eth0. */
  readonly name: string
  readonly mac: string
  readonly mtu: number
  /** Addresses with prefix length, IPv4 or IPv6. */
  readonly addresses: readonly string[]
  /** Next hop of the default route, per family. */
  readonly gateways: readonly string[]
  /** Whether the bridge must not forward between this port and other isolated ones (`isolated` of bridge ports). */
  readonly isolated?: boolean
  /** IFLA_IFALIAS of the host end: whose it is. */
  readonly alias?: string
}

/** What a new network namespace holds; loopback is always up. */
export interface NetnsPlan {
  readonly links: readonly VethPlan[]
  /** Written below /proc/sys/net inside the namespace, e.g. `ipv4/ip_unprivileged_port_start`. */
  readonly sysctls?: Readonly<Record<string, string>>
}
