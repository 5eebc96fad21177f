import satisfies from 'semver/functions/satisfies.js'
import validRange from 'semver/ranges/valid.js'
import type { AnyDriverDefinition, DriverType } from '../driver-kit/definition.ts'
import { driverKitVersion } from '../driver-kit/driver-host.ts'
import { engineErrors } from '../errors/engine-errors.ts'

const types: readonly DriverType[] = ['storage', 'log', 'runtime', 'network', 'volume']

/** Refuses a driver that somebody else wrote when it is none, or is for another driver kit. */
export function checkDefinition(definition: AnyDriverDefinition): void {
  const bad = (why: string) =>
    engineErrors.error('bad_driver', {
      message: `A driver definition given to Engine.open is wrong: ${why}.`,
      subject: { type: 'driver', id: String(definition?.name) },
    })
  if (typeof definition !== 'object' || definition === null) throw bad('it is no object')
  if (!types.includes(definition.type))
    throw bad(`its type must be one of ${types.join(', ')}, got ${JSON.stringify(definition.type)}`)
  if (typeof definition.name !== 'string' || !/^[a-z0-9][a-z0-9-]*$/.test(definition.name))
    throw bad(`its name must be lower case letters, digits and dashes, got ${JSON.stringify(definition.name)}`)
  for (const method of ['parseOptions', 'probe', 'open'] as const)
    if (typeof definition[method] !== 'function') throw bad(`"${definition.name}" has no method ${method}`)
  if (typeof definition.kit !== 'string' || validRange(definition.kit) === null)
    throw bad(`"${definition.name}" must say which driver-kit versions it fits (kit), as a semver range`)
  if (!satisfies(driverKitVersion, definition.kit))
    throw engineErrors.error('driver_kit_mismatch', {
      message: `The ${definition.type} driver "${definition.name}" is written for driver-kit ${definition.kit}; this is ${driverKitVersion}. Use a version of the driver that fits.`,
      subject: { type: `${definition.type} driver`, id: definition.name },
      details: { wanted: definition.kit, present: driverKitVersion },
    })
}
