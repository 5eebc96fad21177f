import { readFileSync } from 'node:fs'
import { errnoOf, fromNodeError } from '../errors/host-errors.ts'
import { isLoopback, parseResolvConf } from './resolv-conf.ts'

export interface ResolverFiles {
  /** Default /etc/resolv.conf. */
  readonly main: string
  /** What systemd-resolved itself asks. Default /run/systemd/resolve/resolv.conf. */
  readonly behindStub: string
}

export const resolverFiles: ResolverFiles = {
  main: '/etc/resolv.conf',
  behindStub: '/run/systemd/resolve/resolv.conf',
}

const read = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw fromNodeError(error)
  }
}

/** The host's resolv.conf as it is now; empty when there is none. */
export const readHostResolvConf = (files = resolverFiles): string => read(files.main) ?? ''

/**
 * The host's servers for containers: where the host only asks its own stub (systemd-resolved on 127.0.0.53), those that
 * the stub asks. Read anew for each start, so that a changed network of the host is followed.
 */
export function readResolverForContainers(files = resolverFiles) {
  const main = parseResolvConf(readHostResolvConf(files))
  if (main.servers.length === 0 || !main.servers.every(isLoopback)) return main
  const behind = read(files.behindStub)
  return behind === null ? main : parseResolvConf(behind)
}
