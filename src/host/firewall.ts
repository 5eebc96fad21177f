import type { CallOptions } from '../lifetime/call-options.ts'

/** Outbound address translation and forwarding for one bridge. */
export interface BridgeRules {
  readonly bridge: string
  /** CIDRs behind the bridge. */
  readonly subnets: readonly string[]
  /** No route out, no translation. */
  readonly internal: boolean
}

/** What `ensureBridge` found and did. */
export interface FirewallReport {
  /** False when everything was in place. */
  readonly changed: boolean
  /** Chains of the host that drop what is forwarded and could not be given an accept for the bridge, with the reason. */
  readonly obstacles: readonly string[]
}

/** What `ensureForwarding` did. */
export interface ForwardingReport {
  /** True when forwarding was off on this host and is on now. */
  readonly changed: boolean
}

/**
 * nftables through nfnetlink. Each bridge has a table of its own, `inet tscontainer-<bridge>`, so that two roots or two
 * versions of this library never write the same one. Chains of the host are touched for one thing only: where one drops
 * forwarded packets by policy it gets accepts for the bridge, tagged `tscontainer:<bridge>` in their comment.
 */
export interface Firewall {
  /** Looks whether the kernel takes our rules, without leaving any. @throws `host.unsupported`, `host.denied` */
  probe(call?: CallOptions): Promise<void>
  /**
   * Makes the rules of a bridge, or completes them after a foreign flush; idempotent, one transaction. When nobody has
   * changed any rule of the host since the last call this costs one short question to the kernel.
   */
  ensureBridge(rules: BridgeRules, call?: CallOptions): Promise<FirewallReport>
  /** Takes table and tagged accepts back. Idempotent. */
  removeBridge(bridge: string, call?: CallOptions): Promise<void>
  /** Bridges that have rules of ours now. */
  listBridges(call?: CallOptions): Promise<readonly string[]>
  /** Sets net.ipv4.ip_forward, which is host-wide; the former value is kept for `restoreForwarding` until reboot. */
  ensureForwarding(call?: CallOptions): Promise<ForwardingReport>
  /** Puts back what `ensureForwarding` of any process found. Idempotent; for when no bridge of any root is left. */
  restoreForwarding(call?: CallOptions): Promise<void>
}
