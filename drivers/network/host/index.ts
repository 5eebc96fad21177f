/**
 * The network driver `host`: containers in the stack of this machine.
 *
 * @module
 */
import type { DriverDefinition } from 'tscontainer/driver-kit'
import { HostDriver } from './driver.ts'
import { type HostOptions, parseHostOptions } from './options.ts'
import { probeHost } from './probe.ts'

/** The network namespace of the host itself. */
export const hostNetwork: DriverDefinition<'network', HostOptions> = {
  type: 'network',
  name: 'host',
  kit: '^1.0.0',
  parseOptions: parseHostOptions,
  probe: probeHost,
  open: async () => new HostDriver(),
}
