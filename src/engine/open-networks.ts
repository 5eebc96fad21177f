import { join } from 'node:path'
import type { ContainerNetworks } from '../container/services.ts'
import { NetworkService } from '../network/network-service.ts'
import { coreTokens } from './core-tokens.ts'
import type { ParsedEngineOptions } from './engine-options.ts'
import type { OpenedDrivers } from './opened-drivers.ts'
import type { Parts } from './parts.ts'

/** Makes the records of the networks that every root has; nothing on the host before their first use. */
export function openNetworks(
  parts: Parts,
  options: ParsedEngineOptions,
  drivers: OpenedDrivers<'network'>,
): NetworkService {
  const { db, rootId, paths } = parts.get(coreTokens.state)
  const service = new NetworkService({
    db,
    rootId,
    rootFile: paths.rootFile,
    copy: paths.networksFile,
    host: parts.get(coreTokens.host),
    driver: (name, call) => drivers.get(name, call),
    diagnostics: parts.get(coreTokens.diagnostics),
    addressPools: options.addressPools,
    dns: options.dns,
  })
  service.open()
  return service
}

/** What the verbs on containers see of the networks. */
export function containerNetworks(service: NetworkService): ContainerNetworks {
  return {
    attach: async (container, wanted, call) => {
      const attached = await service.attach(container, wanted, call)
      const files = (directory: string) => ({
        resolvConf: join(directory, 'resolv.conf'),
        hosts: join(directory, 'hosts'),
        hostname: join(directory, 'hostname'),
      })
      return { ...attached, files, release: () => attached.release() }
    },
    detach: (id) => service.detach(id),
    endpoints: (id) => service.endpoints(id),
    adopt: (id) => service.adopt(id),
    restore: (id, directory) => service.restore(id, directory),
  }
}
