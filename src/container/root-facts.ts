import type { CallOptions } from '../lifetime/call-options.ts'
import { type AccountFiles, type ResolvedUser, resolveUser } from '../runtime/resolve-user.ts'
import type { ContainerRecord } from './container-record.ts'
import { makeDirectoryInRoot, readAccounts } from './root-accounts.ts'
import { leaseRoot } from './root-lease.ts'
import type { ContainerServices } from './services.ts'

interface ChainFacts {
  readonly accounts: AccountFiles
  /** Working directories that are known to exist in every tree upon the chain. */
  readonly directories: Set<string>
}

/**
 * What must be known of a container's root before its program starts: who the user is, and that the working directory
 * is there. Read from the mounted tree; remembered per image, since a fresh container's tree is the image's.
 */
export class RootFacts {
  readonly #services: Pick<ContainerServices, 'roots' | 'mount' | 'paths'>
  readonly #chains = new Map<string, ChainFacts>()

  constructor(services: Pick<ContainerServices, 'roots' | 'mount' | 'paths'>) {
    this.#services = services
  }

  async prepare(record: ContainerRecord, call?: CallOptions): Promise<ResolvedUser> {
    const { user, groups, workdir, image } = record.spec
    const fresh = record.startedAt === null
    const key = image.chain ?? ''
    const known = fresh ? this.#chains.get(key) : undefined
    if (known && (workdir === '/' || known.directories.has(workdir))) return resolveUser(user, known.accounts, groups)

    await using lease = await leaseRoot(this.#services, record, call)
    const accounts = readAccounts(lease.path)
    const resolved = resolveUser(user, accounts, groups)
    const existed = makeDirectoryInRoot(lease.path, workdir)
    if (fresh) {
      const facts = this.#chains.get(key) ?? { accounts, directories: new Set<string>() }
      if (existed) facts.directories.add(workdir)
      this.#chains.set(key, facts)
    }
    return resolved
  }
}
