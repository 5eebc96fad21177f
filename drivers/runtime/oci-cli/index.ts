/**
 * The shipped runtime driver: containers by crun, runc, or any program with their command line.
 *
 * @module
 */
import type { DriverDefinition } from 'tscontainer/driver-kit'
import { OciCliDriver } from './driver.ts'
import { ociCliErrors } from './driver-errors.ts'
import { type OciCliOptions, parseOptions } from './options.ts'
import { probe } from './probe.ts'
import { findRuntime } from './runtime-program.ts'

/** The driver as `Engine.open` takes it. */
export const ociCliRuntime: DriverDefinition<'runtime', OciCliOptions> = {
  type: 'runtime',
  name: 'oci-cli',
  kit: '^1.0.0',
  parseOptions,
  probe,
  async open(context, options, call) {
    const found = await findRuntime(context, options, call)
    if ('seccompForm' in found) return new OciCliDriver(found, context)
    throw ociCliErrors.error('unusable', {
      message: `No OCI runtime works here: ${found.map(({ what, hint }) => `${what} (${hint})`).join('; ')}`,
      details: { missing: found },
    })
  },
}

export { ociCliErrors } from './driver-errors.ts'
export type { OciCliOptions } from './options.ts'
