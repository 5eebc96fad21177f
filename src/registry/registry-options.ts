import { parseOptionObject } from '../driver-kit/options.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import { type ShortNames, shortNameProblem } from '../reference/short-names.ts'
import { parseLocation } from './location.ts'

/** What proves to a registry who asks. */
export type RegistryCredentials =
  | { readonly username: string; readonly password: string }
  /** An OAuth2 refresh token, as `docker login` stores it for some registries. */
  | { readonly identityToken: string }
  /** A bearer token that is sent as it is. */
  | { readonly registryToken: string }

/** Asked for the credentials of a registry (`host[:port]`) when it wants some; null: go on without. */
export type CredentialProvider = (registry: string) => Promise<RegistryCredentials | null>

/** How to talk to one registry. */
export interface RegistryHostOptions {
  /**
   * Accepts any certificate, and plain HTTP where the registry does not speak TLS. Default false, but true for loopback
   * addresses and `localhost`, as in Docker.
   */
  readonly insecure?: boolean
  /** PEM text of certificate authorities trusted for it besides Node's own list. */
  readonly ca?: string
  /** PEM texts; what the registry identifies this client by. */
  readonly clientCertificate?: { readonly cert: string; readonly key: string }
  readonly credentials?: RegistryCredentials
  /** Asked first when pulling, in this order; written as `location`. The registry itself comes last. */
  readonly mirrors?: readonly string[]
  /**
   * Where its images really lie, for pulls and pushes; they keep their names here. `host[:port][/prefix]`: over HTTPS,
   * and the prefix comes before the path of the repository (`harbor.example/hub` asks for
   * `harbor.example/hub/library/busybox` when `busybox` is meant). A URL: its path comes before `/v2/`, what stands
   * behind a `/v2/` in it is the prefix. Credentials are looked up for this host, unless they are given here.
   */
  readonly location?: string
  /**
   * Blobs that are larger are sent in pieces of so many bytes, for proxies that limit bodies. Default: blobs are sent
   * whole, and in pieces once a request was refused as too large or a connection broke.
   */
  readonly uploadChunkBytes?: number
  /** Refuses every pull from it and push to it. */
  readonly blocked?: boolean
}

/** Registries, as `Engine.open` takes them. */
export interface RegistriesOptions {
  /** By the name that images carry: `docker.io`, `registry.example:5000`. */
  readonly hosts?: Readonly<Record<string, RegistryHostOptions>>
  /**
   * Names that stand for others wherever a name is given: `{ debian: 'registry.example/mirror/debian' }`. What is pulled by
   * one is called by the full name here. An image that has the short name itself is found when there is none with the full
   * one. Default: none; a name without a registry is Docker Hub's.
   */
  readonly shortNames?: ShortNames
  /** Asked before Docker's config.json. */
  readonly credentials?: CredentialProvider
  /** Docker's config.json; null: none is read. Default `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`. */
  readonly dockerConfig?: string | null
  /** A registry that sends nothing for so long has stalled. Milliseconds, default 30,000. */
  readonly stallMs?: number
  /** How often a request is tried in all before its failure is told. Default 5. */
  readonly attempts?: number
}

const wrong = (key: string, value: unknown, wanted: string) =>
  registryErrors.error('bad_config', {
    message: `The registry option "${key}" is ${JSON.stringify(value)}; it takes ${wanted}.`,
    details: { key },
  })

const text = (value: unknown, key: string): string => {
  if (typeof value === 'string' && value !== '') return value
  throw wrong(key, typeof value, 'text')
}
const flag = (value: unknown, key: string): boolean => {
  if (typeof value === 'boolean') return value
  throw wrong(key, value, 'true or false')
}
const pem = (value: unknown, key: string): string => {
  if (typeof value === 'string' && value.includes('-----BEGIN ')) return value
  throw wrong(key, typeof value, 'PEM text (the content of the file, not its path)')
}
const positive = (value: unknown, key: string): number => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value
  throw wrong(key, value, 'a whole number above 0')
}

/** Checks what `Engine.open` was given. @throws `registry.bad_config`, `call.unknown_option` */
export function parseRegistriesOptions(options: RegistriesOptions = {}): RegistriesOptions {
  const parsed = parseOptionObject('registries', options, {
    hosts: (value, key) => {
      if (typeof value !== 'object' || value === null) throw wrong(key, value, 'an object, keyed by registry')
      return Object.fromEntries(
        Object.entries(value).map(([host, of]) => [parseHost(host), parseHostOptions(host, of as RegistryHostOptions)]),
      )
    },
    shortNames: (value, key) => {
      if (typeof value !== 'object' || value === null) throw wrong(key, typeof value, 'an object, keyed by short name')
      for (const [short, full] of Object.entries(value)) {
        const problem = shortNameProblem(short, text(full, `${key}["${short}"]`))
        if (problem !== null) throw wrong(`${key}["${short}"]`, full, `the full name of a repository: ${problem}`)
      }
      return value as ShortNames
    },
    credentials: (value, key) => {
      if (typeof value === 'function') return value as CredentialProvider
      throw wrong(key, typeof value, 'a function')
    },
    dockerConfig: (value, key) => (value === null ? null : text(value, key)),
    stallMs: positive,
    attempts: positive,
  })
  return parsed
}

function parseHostOptions(host: string, options: RegistryHostOptions): RegistryHostOptions {
  const parsed = parseOptionObject(`registries.hosts["${host}"]`, options, {
    insecure: flag,
    ca: pem,
    clientCertificate: (value, key) => {
      const { cert, key: secret } = (value ?? {}) as Record<string, unknown>
      return { cert: pem(cert, `${key}.cert`), key: pem(secret, `${key}.key`) }
    },
    credentials: (value, key) => parseCredentials(value, key),
    mirrors: (value, key) => {
      if (!Array.isArray(value)) throw wrong(key, typeof value, 'a list')
      return value.map((mirror) => location(mirror, key))
    },
    location: (value, key) => location(value, key),
    uploadChunkBytes: positive,
    blocked: flag,
  })
  return parsed
}

/** @throws `registry.bad_config` */
export function parseCredentials(value: unknown, key: string): RegistryCredentials {
  const given = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  for (const [names, made] of [
    [
      ['username', 'password'],
      () => ({ username: text(given['username'], key), password: text(given['password'], key) }),
    ],
    [['identityToken'], () => ({ identityToken: text(given['identityToken'], key) })],
    [['registryToken'], () => ({ registryToken: text(given['registryToken'], key) })],
  ] as const)
    if (names.length === Object.keys(given).length && names.every((name) => name in given)) return made()
  // Their values may be secrets: only what there is by name is said.
  throw registryErrors.error('bad_config', {
    message: `"${key}" has the keys ${Object.keys(given).join(', ') || 'none'}; it takes username and password, or identityToken, or registryToken.`,
    details: { key },
  })
}

const hostPattern = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(:\d{1,5})?$/

function parseHost(host: string): string {
  if (!hostPattern.test(host)) throw wrong('hosts', host, 'names such as "docker.io" or "registry.example:5000"')
  return host === 'index.docker.io' ? 'docker.io' : host
}

function location(value: unknown, key: string): string {
  const given = text(value, key)
  const parsed = parseLocation(given)
  if (parsed !== null) return parsed
  // It may hold a secret.
  throw wrong(
    key,
    given.replace(/^(\w+:\/\/)?[^/]*@/, '$1...@').replace(/\?.*$/s, '?...'),
    'host[:port][/prefix] or an http(s) URL without secrets',
  )
}
