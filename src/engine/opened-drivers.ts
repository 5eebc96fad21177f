import type { DriverContext } from '../driver-kit/context.ts'
import type { DriverType, DriverTypes } from '../driver-kit/definition.ts'
import { engineErrors } from '../errors/engine-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { DriverRegistry } from './driver-registry.ts'

/** Drivers of one type, each opened when it is first named. */
export class OpenedDrivers<Type extends DriverType> implements AsyncDisposable {
  readonly #type: Type
  readonly #registry: DriverRegistry
  readonly #context: (name: string) => DriverContext
  readonly #open = new Map<string, Promise<DriverTypes[Type]>>()

  constructor(type: Type, registry: DriverRegistry, context: (name: string) => DriverContext) {
    this.#type = type
    this.#registry = registry
    this.#context = context
  }

  /** @throws `engine.unknown_driver`, `engine.no_usable_driver` */
  get(name: string, call?: CallOptions): Promise<DriverTypes[Type]> {
    let opening = this.#open.get(name)
    if (!opening) {
      opening = this.#openDriver(name, call)
      this.#open.set(name, opening)
      // A failed opening is tried anew by the next one that names it.
      opening.catch(() => this.#open.delete(name))
    }
    return opening
  }

  async #openDriver(name: string, call?: CallOptions): Promise<DriverTypes[Type]> {
    const definition = this.#registry.get(this.#type, name)
    const context = this.#context(name)
    const options = definition.parseOptions({})
    const probe = await definition.probe(context, options, call)
    if (!probe.usable)
      throw engineErrors.error('no_usable_driver', {
        message: `The ${this.#type} driver "${name}" does not work here: ${probe.missing.map(({ what, hint }) => `${what} is missing (${hint})`).join('; ')}.`,
        subject: { type: `${this.#type} driver`, id: name },
        details: { missing: probe.missing },
      })
    return definition.open(context, options, call)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const drivers = await Promise.allSettled(this.#open.values())
    this.#open.clear()
    for (const driver of drivers) if (driver.status === 'fulfilled') await driver.value[Symbol.asyncDispose]()
  }
}
