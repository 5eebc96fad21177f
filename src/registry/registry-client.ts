import { registryErrors } from '../errors/registry-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Reference } from '../reference/reference.ts'
import { Authorizer } from './authorizer.ts'
import type { DockerConfigCredentials } from './docker-config.ts'
import { type Endpoint, endpointsOf } from './endpoint.ts'
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
    if (this.#init.offline)
      throw registryErrors.error('offline', {
        message: `${reference.domain}/${reference.path} was not asked for: the engine was opened with offline: true.`,
        subject: { type: 'registry', id: reference.domain },
        details: { registry: reference.domain },
      })
    return endpointsOf(reference.domain, this.#init.config, purpose).map(
      (endpoint) =>
        new RemoteRepository({
          endpoint,
          path: reference.path,
          actions: purpose === 'pull' ? 'pull' : 'pull,push',
          transport: this.#transport,
          authorizer: this.#authorizer(endpoint),
          attempts: this.attempts,
        }),
    )
  }

  /** How often a request is tried in all. */
  get attempts(): number {
    return this.#init.config.attempts ?? ATTEMPTS
  }

  #authorizer(endpoint: Endpoint): Authorizer {
    const key = endpoint.base.href
    const known = this.#authorizers.get(key)
    if (known) return known
    const made = new Authorizer(endpoint, this.#transport, () => this.#credentials(endpoint.registry))
    this.#authorizers.set(key, made)
    return made
  }

  async #credentials(registry: string, call?: CallOptions): Promise<RegistryCredentials | null> {
    const { config, docker } = this.#init
    return (
      config.hosts?.[registry]?.credentials ??
      (await config.credentials?.(registry)) ??
      (await docker.find(registry, call))
    )
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]()
  }
}
