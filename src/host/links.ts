import type { CallOptions } from '../lifetime/call-options.ts'

export interface LinkInfo {
  readonly index: number
  readonly name: string
  readonly kind: string | null
  readonly mac: string
  readonly mtu: number
  readonly up: boolean
  /** Index of the bridge it belongs to. */
  readonly master: number | null
  /** IFLA_IFALIAS: where we write whose a link is. */
  readonly alias: string | null
}

export interface RouteInfo {
  /** CIDR; `0.0.0.0/0` or `::/0` for the default route. */
  readonly destination: string
  readonly gateway: string | null
  readonly link: string | null
}

export interface BridgePlan {
  readonly name: string
  readonly alias: string
  readonly addresses: readonly string[]
  readonly mtu: number
  readonly mac?: string
}

/** Links, addresses and routes of this process's network namespace, through rtnetlink(7). */
export interface Links {
  list(call?: CallOptions): Promise<readonly LinkInfo[]>
  find(name: string, call?: CallOptions): Promise<LinkInfo | null>
  addresses(link?: string, call?: CallOptions): Promise<readonly { readonly link: string; readonly address: string }[]>
  routes(call?: CallOptions): Promise<readonly RouteInfo[]>
  /** Makes the bridge with its addresses and brings it up, or completes an existing one. */
  ensureBridge(plan: BridgePlan, call?: CallOptions): Promise<LinkInfo>
  /** Idempotent. Waits for the kernel (about 20-35 ms): never on a path that somebody awaits. */
  remove(name: string, call?: CallOptions): Promise<void>
}
