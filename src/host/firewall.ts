import type { CallOptions } from '../lifetime/call-options.ts'

/** Outbound address translation and forwarding for one bridge. */
export interface BridgeRules {
  readonly bridge: string
  /** CIDRs behind the bridge. */
  readonly subnets: readonly string[]
  /** No route out, no translation. */
  readonly internal: boolean
}

/** nftables through nfnetlink: tables of our own; the host's are only touched for tagged accepts beside a DROP policy. */
export interface Firewall {
  /** Makes the rules of a bridge, or completes them after a foreign flush; idempotent, one transaction. */
  ensureBridge(rules: BridgeRules, call?: CallOptions): Promise<void>
  /** Idempotent. */
  removeBridge(bridge: string, call?: CallOptions): Promise<void>
  /** Bridges that have rules of ours now. */
  listBridges(call?: CallOptions): Promise<readonly string[]>
}
