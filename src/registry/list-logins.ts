import { type DockerConfig, helperOf, parseConfig, readConfig } from './docker-config.ts'
import type { RegistriesOptions } from './registry-options.ts'

/** Whom a registry is asked as, as far as that is written down. */
export interface RegistryLogin {
  /** As images name it: `docker.io`, `registry.example:5000`. */
  readonly registry: string
  /** Null: a token, or a credential helper knows; `registries.user()` asks it. */
  readonly user: string | null
  /** `docker-credential-<helper>` keeps the credentials; null: none does. */
  readonly helper: string | null
}

/**
 * Logins that the options, the variable DOCKER_AUTH_CONFIG and config.json tell of, by registry. No helper is started,
 * so whether one has credentials for a registry that `credHelpers` names is not known.
 *
 * @throws `registry.bad_credentials_file`
 */
export function listLogins(
  options: Pick<RegistriesOptions, 'hosts'>,
  file: string | null,
  env: NodeJS.ProcessEnv,
): readonly RegistryLogin[] {
  const text = env['DOCKER_AUTH_CONFIG']
  const given = Object.entries(options.hosts ?? {}).flatMap(([registry, { credentials }]) =>
    credentials ? [{ registry, user: 'username' in credentials ? credentials.username : null, helper: null }] : [],
  )
  const logins = [
    ...given,
    ...(text ? inConfig({ auths: parseConfig(text, 'DOCKER_AUTH_CONFIG').auths ?? {} }) : []),
    ...(file === null ? [] : inConfig(readConfig(file) ?? {})),
  ]
  // What counts comes first.
  const first = new Map(logins.toReversed().map((login) => [login.registry, login]))
  return [...first.values()].sort((a, b) => (a.registry < b.registry ? -1 : 1))
}

function inConfig(config: DockerConfig): RegistryLogin[] {
  const { auths = {}, credHelpers = {} } = config
  const keys = [...Object.keys(auths), ...Object.keys(credHelpers).filter((key) => !Object.hasOwn(auths, key))]
  return keys.map((key) => {
    const registry = registryOf(key)
    const helper = helperOf(config, registry)
    return { registry, user: helper === null ? userOf(auths[key]) : null, helper }
  })
}

/** The registry that a key of config.json means: `https://index.docker.io/v1/` is `docker.io`. */
function registryOf(key: string): string {
  const name = key.replace(/^https?:\/\//, '').replace(/\/(v[12]\/?)?$/, '')
  return name === 'index.docker.io' ? 'docker.io' : name
}

/** Null for tokens, and for entries that a pull would refuse. */
function userOf(entry: unknown): string | null {
  if (typeof entry !== 'object' || entry === null) return null
  const { auth, username, identitytoken, registrytoken } = entry as Record<string, unknown>
  if (identitytoken || registrytoken) return null
  if (typeof username === 'string' && username !== '') return username
  if (typeof auth !== 'string') return null
  const decoded = Buffer.from(auth, 'base64').toString()
  const colon = decoded.indexOf(':')
  return colon < 1 ? null : decoded.slice(0, colon)
}
