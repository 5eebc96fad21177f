import { registryErrors } from '../errors/registry-errors.ts'
import { hubHost, hubSearchHost, parseLocation, splitLocation } from './location.ts'
import type { RegistriesOptions } from './registry-options.ts'

/** A place where the images of a registry can be asked for. */
export interface Endpoint {
  /** What it is called: `docker.io`, or host and port. A mirror is called by its own host. */
  readonly registry: string
  /** What credentials are looked up by: where it lies, so that nobody is sent another's secret. */
  readonly credentialsFor: string
  /** Ends in a slash; `v2/` follows. */
  readonly base: URL
  /** Stands before the paths of repositories: empty, or ends in a slash. */
  readonly prefix: string
  readonly role: 'mirror' | 'registry'
  /** Any certificate is accepted, and plain HTTP where the other side does not speak TLS. */
  readonly insecure: boolean
  readonly ca: string | null
  readonly clientCertificate: { readonly cert: string; readonly key: string } | null
  /** Larger blobs are sent in pieces of so many bytes; null: whole. */
  readonly uploadChunkBytes: number | null
}

/** Mirrors are for pulling; Docker Hub is searched elsewhere than it is pulled from. */
export type Purpose = 'pull' | 'push' | 'search'

/** 127.0.0.0/8, ::1 and localhost, with or without a port. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, '')
  return name === 'localhost' || name === '[::1]' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name)
}

/**
 * Where a registry's images are pulled from (mirrors first) or pushed to.
 *
 * @throws `registry.blocked`
 */
export function endpointsOf(registry: string, config: RegistriesOptions, purpose: Purpose): Endpoint[] {
  const own = config.hosts?.[registry]
  if (own?.blocked)
    throw registryErrors.error('blocked', {
      message: `${registry} is blocked by the engine's configuration (registries.hosts["${registry}"].blocked).`,
      subject: { type: 'registry', id: registry },
      details: { registry },
    })
  const mirrors = purpose === 'pull' ? (own?.mirrors ?? []) : []
  return [
    ...mirrors.map((mirror) => endpoint(mirror, null, 'mirror', config)),
    endpoint(own?.location ?? ownLocation(registry, purpose), registry, 'registry', config),
  ]
}

function ownLocation(registry: string, purpose: Purpose): string {
  if (purpose === 'search' && registry === 'docker.io') return `https://${hubSearchHost}/`
  const location = parseLocation(registry)
  if (location !== null) return location
  throw registryErrors.error('bad_config', {
    message: `"${registry.slice(0, 200)}" is no registry. Its name is host[:port], such as "registry.example:5000".`,
    details: { key: 'registry' },
  })
}

/** Where a program's downloads come from: no registry, but the same rules for certificates. */
export function downloadEndpoint(url: URL, config: RegistriesOptions): Endpoint {
  const made = endpoint(url.origin, null, 'mirror', config)
  // Who writes http:// means it; a redirect from HTTPS to plain HTTP is followed by nobody.
  return { ...made, insecure: url.protocol === 'http:' || config.hosts?.[url.host]?.insecure === true }
}

function endpoint(location: string, name: string | null, role: Endpoint['role'], config: RegistriesOptions): Endpoint {
  const { base, prefix } = splitLocation(location)
  const credentialsFor = base.host === hubHost || base.host === hubSearchHost ? 'docker.io' : base.host
  const registry = name ?? credentialsFor
  // What is said of the name of a registry that lies elsewhere goes for where it lies.
  const options = config.hosts?.[registry] ?? config.hosts?.[credentialsFor]
  return {
    registry,
    credentialsFor,
    base,
    prefix,
    role,
    insecure: options?.insecure ?? (isLoopback(base.host) || base.protocol === 'http:'),
    ca: options?.ca ?? null,
    clientCertificate: options?.clientCertificate ?? null,
    uploadChunkBytes: options?.uploadChunkBytes ?? null,
  }
}
