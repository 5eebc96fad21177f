import { registryErrors } from '../errors/registry-errors.ts'
import type { RegistriesOptions } from './registry-options.ts'

/** A place where the images of a registry can be asked for. */
export interface Endpoint {
  /** What credentials are looked up by: `docker.io`, or host and port. */
  readonly registry: string
  /** Ends in a slash; `v2/` follows. */
  readonly base: URL
  readonly role: 'mirror' | 'registry'
  /** Any certificate is accepted, and plain HTTP where the other side does not speak TLS. */
  readonly insecure: boolean
  readonly ca: string | null
  readonly clientCertificate: { readonly cert: string; readonly key: string } | null
}

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
export function endpointsOf(registry: string, config: RegistriesOptions, purpose: 'pull' | 'push'): Endpoint[] {
  const own = config.hosts?.[registry]
  if (own?.blocked)
    throw registryErrors.error('blocked', {
      message: `${registry} is blocked by the engine's configuration (registries.hosts["${registry}"].blocked).`,
      subject: { type: 'registry', id: registry },
      details: { registry },
    })
  // The name that images of Docker Hub carry is no host that serves them.
  const location =
    own?.location ?? (registry === 'docker.io' ? 'https://registry-1.docker.io/' : `https://${registry}/`)
  const mirrors = purpose === 'pull' ? (own?.mirrors ?? []) : []
  return [
    ...mirrors.map((mirror) => endpoint(new URL(mirror), null, 'mirror', config)),
    endpoint(new URL(location), registry, 'registry', config),
  ]
}

function endpoint(base: URL, name: string | null, role: Endpoint['role'], config: RegistriesOptions): Endpoint {
  const registry = name ?? base.host
  // What is said of the name of a registry that lies elsewhere goes for where it lies.
  const options = config.hosts?.[registry] ?? config.hosts?.[base.host]
  return {
    registry,
    base,
    role,
    insecure: options?.insecure ?? (isLoopback(base.host) || base.protocol === 'http:'),
    ca: options?.ca ?? null,
    clientCertificate: options?.clientCertificate ?? null,
  }
}
