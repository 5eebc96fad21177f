/**
 * The network driver `none`: containers with loopback only.
 *
 * @module
 */
import type { DriverDefinition } from 'tscontainer/driver-kit'
import { NoneDriver } from './driver.ts'
import { type NoneOptions, parseNoneOptions } from './options.ts'
import { probeNone } from './probe.ts'

/** A network namespace with loopback only. */
export const noneNetwork: DriverDefinition<'network', NoneOptions> = {
  type: 'network',
  name: 'none',
  kit: '^1.0.0',
  parseOptions: parseNoneOptions,
  probe: probeNone,
  open: async () => new NoneDriver(),
}
