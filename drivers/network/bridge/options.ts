import { parseOptionObject } from 'tscontainer/driver-kit'

export type BridgeOptions = Readonly<Record<string, never>>

/** The driver itself has no options; anything given is refused by name. */
export function parseBridgeOptions(input: unknown): BridgeOptions {
  return parseOptionObject('the network driver bridge', input, {})
}

/** Options of one network: none yet. */
export function checkNetworkOptions(network: string, options: Readonly<Record<string, string>>): void {
  parseOptionObject(`the bridge network ${network}`, options, {})
}
