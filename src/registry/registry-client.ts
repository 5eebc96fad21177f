import { isEngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Reference } from '../reference/reference.ts'
import { Authorizer } from './authorizer.ts'
import type { DockerConfigCredentials } from './docker-config.ts'
import { eraseCredentials, type LoginStore, storeCredentials } from './docker-config-store.ts'
import { download, parseDownloadUrl } from './download.ts'
import { downloadEndpoint, type Endpoint, endpointsOf, type Purpose } from './endpoint.ts'
import { EndpointRequests } from './endpoint-requests.ts'
import { registryName } from './location.ts'
import type { RegistriesOptions, RegistryCredentials } from './registry-options.ts'
import { RemoteRepository } from './remote-repository.ts'
import { type FoundRepository, type ImageSearchOptions, searchRegistry } from './search.ts'
import { Transport } from './transport.ts'
import { safeAddress } from './without-secrets.ts'

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
  endpoints(registry: string, purpose: Purpose, what = registry): readonly EndpointRequests[] {
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

  /** The bytes behind an http(s) address that is no registry's. @throws `download.*`, `registry.*` */
  download(address: string, call?: CallOptions): AsyncIterable<Uint8Array> {
    const url = parseDownloadUrl(address)
    this.#requireNetwork(url.host, safeAddress(url))
    const endpoint = downloadEndpoint(url, this.#init.config)
    return download(url, { endpoint, transport: this.#transport, attempts: this.attempts }, call)
  }

  /** Tags of a repository, of the first of its mirrors that knows it. @throws `registry.*` */
  async *tags(reference: Reference, call?: CallOptions): AsyncGenerator<string> {
    const repositories = this.repositories(reference, 'pull')
    for (const [at, repository] of repositories.entries()) {
      const tags = repository.tags(call)
      let first: IteratorResult<string>
      try {
        first = await tags.next()
      } catch (error) {
        if (at + 1 < repositories.length && isEngineError(error) && error.kind !== 'aborted') continue
        throw error
      }
      if (!first.done) yield first.value
      yield* tags
      return
    }
  }

  /** What a registry finds for a term. @throws `registry.no_search`, `registry.*` */
  search(term: string, options: ImageSearchOptions = {}): AsyncGenerator<FoundRepository> {
    const { registry = 'docker.io' } = options
    return searchRegistry(this.endpoints(registryName(registry), 'search').at(-1)!, term, options)
  }

  /**
   * Shows credentials to a registry and stores them when it takes them.
   *
   * @throws `registry.unauthorized`, `registry.bad_config` when nothing is to be stored, `registry.helper_failed`, `registry.*`
   */
  async login(registry: string, credentials: RegistryCredentials, call?: CallOptions): Promise<LoginStore> {
    const { docker } = this.#init
    const file = this.#requireFile(registry)
    const [own] = this.endpoints(registryName(registry), 'push')
    const { endpoint } = own!
    const authorizer = new Authorizer(endpoint, this.#transport, async () => credentials)
    const requests = new EndpointRequests({
      endpoint,
      transport: this.#transport,
      authorizer,
      attempts: this.attempts,
    })
    const what = `Logging in to ${registry}`
    const answer = await requests.ask({ method: 'GET', path: 'v2/', scope: '', expected: [200], what }, call)
    answer.discard()
    const stored = await storeCredentials(file, docker.run, endpoint.credentialsFor, credentials, call)
    this.#authorizers.clear()
    return stored
  }

  /** Takes a login out of where it is stored; false when there was none. */
  async logout(registry: string, call?: CallOptions): Promise<boolean> {
    const file = this.#requireFile(registry)
    const { credentialsFor } = this.#endpointOf(registry)
    const erased = await eraseCredentials(file, this.#init.docker.run, credentialsFor, call)
    this.#authorizers.clear()
    return erased
  }

  /** Who the registry is asked as; null: nobody in particular, or the bearer of a token. */
  async user(registry: string, call?: CallOptions): Promise<string | null> {
    const found = await this.#credentials(this.#endpointOf(registry), call)
    return found && 'username' in found ? found.username : null
  }

  #endpointOf(registry: string): Endpoint {
    return endpointsOf(registryName(registry), this.#init.config, 'push')[0]!
  }

  #requireFile(registry: string): string {
    const { file } = this.#init.docker
    if (file !== null) return file
    throw registryErrors.error('bad_config', {
      message: `A login to ${registry} can be stored nowhere: the engine was opened with registries.dockerConfig: null.`,
      subject: { type: 'registry', id: registry },
      details: { key: 'dockerConfig' },
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
