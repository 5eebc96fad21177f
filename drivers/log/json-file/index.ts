/**
 * The default log driver: a file per container in the format of Docker's `json-file`.
 *
 * @module
 */
import { type DriverDefinition, parseOptionObject } from 'tscontainer/driver-kit'
import { JsonFileDriver } from './driver.ts'
import { probeJsonFile } from './probe.ts'

/** The driver as `Engine.open` takes it; it has no options of its own, containers have theirs. */
export const jsonFileLog: DriverDefinition<'log', Record<string, never>> = {
  type: 'log',
  name: 'json-file',
  kit: '^1.0.0',
  parseOptions(input) {
    parseOptionObject('the log driver json-file', input, {})
    return {}
  },
  probe: probeJsonFile,
  async open(context) {
    return new JsonFileDriver(context.diagnostics)
  },
}

export { jsonFileErrors } from './driver-errors.ts'
