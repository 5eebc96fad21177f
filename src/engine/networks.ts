import { isEngineError } from '../errors/engine-error.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { NetworkInspect } from '../network/network-facts.ts'
import type { NetworkService } from '../network/network-service.ts'

/** The networks of a root: `bridge`, `host` and `none`. */
export class Networks {
  readonly #service: () => NetworkService

  /** @internal */
  constructor(service: () => NetworkService) {
    this.#service = service
  }

  /** By name or id. @throws `network.not_found` */
  async get(nameOrId: string, _call?: CallOptions): Promise<Network> {
    const facts = this.#service().inspect(nameOrId)
    return new Network(this.#service, facts.id, facts.name)
  }

  /** By name or id; null when there is none. */
  async find(nameOrId: string, call?: CallOptions): Promise<Network | null> {
    try {
      return await this.get(nameOrId, call)
    } catch (error) {
      if (isEngineError(error, { code: 'network.not_found' })) return null
      throw error
    }
  }

  /** All of them. */
  async *list(_call?: CallOptions): AsyncIterable<Network> {
    for (const facts of this.#service().list()) yield new Network(this.#service, facts.id, facts.name)
  }
}

/** A handle on a network. */
export class Network {
  readonly id: string
  readonly name: string
  readonly #service: () => NetworkService

  /** @internal */
  constructor(service: () => NetworkService, id: string, name: string) {
    this.#service = service
    this.id = id
    this.name = name
  }

  /** @throws `network.not_found` */
  async inspect(_call?: CallOptions): Promise<NetworkInspect> {
    return this.#service().inspect(this.id)
  }
}
