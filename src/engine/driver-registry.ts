import type { AnyDriverDefinition, DriverDefinition, DriverType } from '../driver-kit/definition.ts'
import { engineErrors } from '../errors/engine-errors.ts'

/** The drivers an engine knows, by type and name. */
export class DriverRegistry {
  readonly #definitions = new Map<string, AnyDriverDefinition>()

  /** Later definitions replace earlier ones of the same type and name. */
  constructor(definitions: readonly AnyDriverDefinition[]) {
    for (const definition of definitions) this.#definitions.set(`${definition.type} ${definition.name}`, definition)
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
