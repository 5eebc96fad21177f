import { parseOptionObject } from '../driver-kit/options.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { LoginStore } from '../registry/docker-config-store.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import { parseCredentials, type RegistryCredentials } from '../registry/registry-options.ts'

/** Logins at registries, shared with Docker's command line. */
export class Registries {
  readonly #open: () => Promise<RegistryClient>

  /** @internal */
  constructor(open: () => Promise<RegistryClient>) {
    this.#open = open
  }

  /**
   * Shows credentials to a registry (`docker.io`, `registry.example:5000`) and, when it takes them, stores them as
   * `docker login` does: by the credential helper that config.json names for it, else in config.json itself, which is
   * replaced whole, readable by its owner alone. A registry that asks nobody for credentials takes any.
   *
   * @throws `registry.unauthorized` when it refuses them, `registry.bad_config`, `registry.helper_failed`,
   * `registry.credentials_not_stored`, `registry.*`
   */
  async login(registry: string, credentials: RegistryCredentials, call?: CallOptions): Promise<LoginStore> {
    const checked = parseCredentials(credentials, 'credentials')
    checkCall(call, 'registries.login')
    return (await this.#open()).login(registry, checked, call)
  }

  /** Takes a stored login away, without asking the registry. False when there was none. @throws as `login` */
  async logout(registry: string, call?: CallOptions): Promise<boolean> {
    checkCall(call, 'registries.logout')
    return (await this.#open()).logout(registry, call)
  }

  /** Whom a registry is asked as; null: nobody in particular, or whoever holds a token. @throws `registry.helper_failed` */
  async user(registry: string, call?: CallOptions): Promise<string | null> {
    checkCall(call, 'registries.user')
    return (await this.#open()).user(registry, call)
  }
}

const checkCall = (call: CallOptions | undefined, what: string): unknown =>
  parseOptionObject(what, call, { signal: (value) => value })
