/**
 * The network driver `bridge`: containers reach one another and, under the host's address, everything else.
 *
 * @module
 */
import type { DriverDefinition } from 'tscontainer/driver-kit'
import { BridgeDriver } from './driver.ts'
import { type BridgeOptions, parseBridgeOptions } from './options.ts'
import { probeBridge } from './probe.ts'

/** A Linux bridge with outbound address translation: the default network. */
export const bridgeNetwork: DriverDefinition<'network', BridgeOptions> = {
  type: 'network',
  name: 'bridge',
  kit: '^1.0.0',
  parseOptions: parseBridgeOptions,
  probe: probeBridge,
  open: async (context) => new BridgeDriver(context),
}

export { bridgeErrors } from './driver-errors.ts'
