import { registryErrors } from '../errors/registry-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Reference } from '../reference/reference.ts'
import { Authorizer } from './authorizer.ts'
import type { DockerConfigCredentials } from './docker-config.ts'
import { type Endpoint, endpointsOf } from './endpoint.ts'
import { EndpointRequests } from './endpoint-requests.ts'
import type { RegistriesOptions, RegistryCredentials } from './registry-options.ts'
import { RemoteRepository } from './remote-repository.ts'
import { Transport } from './transport.ts'

const STALL_MS = 30_000
const ATTEMPTS = 5

export interface RegistryClientInit {
  readonly config: RegistriesOptions
  /** Asked after what is given in code. */
  readonly docker: DockerConfigCredentials
  /** Every use of the network is refused by name. */
  readonly offline: boolean
}

/** The registries of one engine: connections, tokens and credentials are shared by everything that it pulls and pushes. */
export class RegistryClient implements Disposable {
  readonly #init: RegistryClientInit
  readonly #transport: Transport
  readonly #authorizers = new Map<string, Authorizer>()

  constructor(init: RegistryClientInit) {
    this.#init = init
    this.#transport = new Transport({ stallMs: init.config.stallMs ?? STALL_MS })
  }

  /**
   * Where the repository of a reference can be pulled from, mirrors first, or pushed to.
   *
   * @throws `registry.offline`, `registry.blocked`
   */
  repositories(reference: Reference, purpose: 'pull' | 'push'): readonly RemoteRepository[] {
    return this.endpoints(reference.domain, purpose, `${reference.domain}/${reference.path}`).map(
      (requests) =>
        new RemoteRepository({
          requests,
          path: `${requests.endpoint.prefix}${reference.path}`,
          actions: purpose === 'pull' ? 'pull' : 'pull,push',
        }),
    )
  }

  /** The same for what is no repository. `what` is named when the engine is offline. */
  endpoints(registry: string, purpose: 'pull' | 'push', what = registry): readonly EndpointRequests[] {
    this.#requireNetwork(registry, what)
    return endpointsOf(registry, this.#init.config, purpose).map(
      (endpoint) =>
        new EndpointRequests({
          endpoint,
          transport: this.#transport,
          authorizer: this.#authorizer(endpoint),
          attempts: this.attempts,
        }),
    )
  }

  #requireNetwork(registry: string, what: string): void {
    if (this.#init.offline)
      throw registryErrors.error('offline', {
        message: `${what} was not asked for: the engine was opened with offline: true.`,
        subject: { type: 'registry', id: registry },
        details: { registry },
      })
  }

  /** How often a request is tried in all. */
  get attempts(): number {
    return this.#init.config.attempts ?? ATTEMPTS
  }

  #authorizer(endpoint: Endpoint): Authorizer {
    const key = `${endpoint.registry} ${endpoint.base.href}`
    const known = this.#authorizers.get(key)
    if (known) return known
    const made = new Authorizer(endpoint, this.#transport, () => this.#credentials(endpoint))
    this.#authorizers.set(key, made)
    return made
  }

  async #credentials({ registry, credentialsFor }: Endpoint, call?: CallOptions): Promise<RegistryCredentials | null> {
    const { config, docker } = this.#init
    return (
      config.hosts?.[registry]?.credentials ??
      config.hosts?.[credentialsFor]?.credentials ??
      (await config.credentials?.(credentialsFor)) ??
      (await docker.find(credentialsFor, call))
    )
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]()
  }
}
