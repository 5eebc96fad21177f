import satisfies from 'semver/functions/satisfies.js'
import validRange from 'semver/ranges/valid.js'
import type { AnyDriverDefinition, DriverDefinition, DriverType } from '../driver-kit/definition.ts'
import { driverKitVersion } from '../driver-kit/driver-host.ts'
import { engineErrors } from '../errors/engine-errors.ts'

const types: readonly DriverType[] = ['storage', 'log', 'runtime', 'network', 'volume']

/** The drivers an engine knows, by type and name. */
export class DriverRegistry {
  readonly #definitions = new Map<string, AnyDriverDefinition>()

  /** Later definitions replace earlier ones of the same type and name. */
  constructor(definitions: readonly AnyDriverDefinition[]) {
    for (const definition of definitions) {
      check(definition)
      this.#definitions.set(`${definition.type} ${definition.name}`, definition)
    }
  }

  all<Type extends DriverType>(type: Type): readonly DriverDefinition<Type>[] {
    return [...this.#definitions.values()].filter(
      (one): one is DriverDefinition<Type> & AnyDriverDefinition => one.type === type,
    )
  }

  get<Type extends DriverType>(type: Type, name: string): DriverDefinition<Type> {
    const found = this.all(type).find((definition) => definition.name === name)
    if (found) return found
    const known = this.all(type).map((definition) => definition.name)
    throw engineErrors.error('unknown_driver', {
      message: `There is no ${type} driver "${name}". Known are: ${known.join(', ') || 'none'}. Register others with Engine.open({ drivers: [...] }).`,
      subject: { type: `${type} driver`, id: name },
      details: { known },
    })
  }
}

function check(definition: AnyDriverDefinition): void {
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
