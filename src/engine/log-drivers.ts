import type { DriverContext } from '../driver-kit/context.ts'
import type { LogDriver } from '../driver-kit/log-driver.ts'
import { engineErrors } from '../errors/engine-errors.ts'
import type { DriverRegistry } from './driver-registry.ts'

/** Log drivers, each opened when a container first names it. */
export class LogDrivers implements AsyncDisposable {
  readonly #registry: DriverRegistry
  readonly #context: (name: string) => DriverContext
  readonly #open = new Map<string, Promise<LogDriver>>()

  constructor(registry: DriverRegistry, context: (name: string) => DriverContext) {
    this.#registry = registry
    this.#context = context
  }

  get(name: string): Promise<LogDriver> {
    let opening = this.#open.get(name)
    if (!opening) {
      opening = this.#openDriver(name)
      this.#open.set(name, opening)
      // A failed opening is tried anew by the next container.
      opening.catch(() => this.#open.delete(name))
    }
    return opening
  }

  async #openDriver(name: string): Promise<LogDriver> {
    const definition = this.#registry.get('log', name)
    const context = this.#context(name)
    const options = definition.parseOptions({})
    const probe = await definition.probe(context, options)
    if (!probe.usable)
      throw engineErrors.error('no_usable_driver', {
        message: `The log driver "${name}" does not work here: ${probe.missing.map(({ what, hint }) => `${what} is missing (${hint})`).join('; ')}.`,
        subject: { type: 'log driver', id: name },
        details: { missing: probe.missing },
      })
    return definition.open(context, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const drivers = await Promise.allSettled(this.#open.values())
    this.#open.clear()
    for (const driver of drivers) if (driver.status === 'fulfilled') await driver.value[Symbol.asyncDispose]()
  }
}
