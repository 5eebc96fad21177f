import { type DriverDefinition, parseOptionObject } from 'tscontainer/driver-kit'
import { NdjsonDriver } from './ndjson-driver.ts'

/**
 * Sends every log entry as one JSON object per line to a Unix socket. A collector that is away is no failure of the
 * container: entries wait in memory, up to `buffer` of them, and the loss of more is reported as a diagnostic.
 */
export const ndjson: DriverDefinition<'log', object> = {
  type: 'log',
  name: 'ndjson',
  kit: '^1.0.0',
  // Lets the monitor load this driver for detached containers.
  module: import.meta.url,
  parseOptions: (input) => parseOptionObject('the log driver ndjson', input, {}),
  probe: async () => ({ usable: true, facts: {} }),
  open: async (context) => new NdjsonDriver(context.diagnostics),
}
