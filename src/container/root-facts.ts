import { mkdirSync, rmdirSync } from 'node:fs'
import type { MountSpec } from '../host/mount-spec.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { type AccountFiles, type ResolvedUser, resolveUser } from '../runtime/resolve-user.ts'
import type { ContainerRecord } from './container-record.ts'
import { makeDirectoryInRoot, readAccounts } from './root-accounts.ts'
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
  readonly #services: Pick<ContainerServices, 'mount' | 'paths'>
  readonly #chains = new Map<string, ChainFacts>()

  constructor(services: Pick<ContainerServices, 'mount' | 'paths'>) {
    this.#services = services
  }

  /** `mounts` is asked each time something is to be mounted: some mounts must be made ready anew. */
  async prepare(
    record: ContainerRecord,
    mounts: () => Promise<readonly MountSpec[]>,
    call?: CallOptions,
  ): Promise<ResolvedUser> {
    const { user, workdir, image } = record.spec
    const fresh = record.startedAt === null
    const key = image.chain ?? ''
    const known = fresh ? this.#chains.get(key) : undefined
    if (known && (workdir === '/' || known.directories.has(workdir))) return resolveUser(user, known.accounts)

    const target = this.#services.paths.workMount(record.id)
    mkdirSync(target, { recursive: true })
    try {
      await using lease = await this.#services.mount(target, await mounts(), call)
      const accounts = readAccounts(lease.path)
      const resolved = resolveUser(user, accounts)
      const existed = makeDirectoryInRoot(lease.path, workdir)
      if (fresh) {
        const facts = this.#chains.get(key) ?? { accounts, directories: new Set<string>() }
        if (existed) facts.directories.add(workdir)
        this.#chains.set(key, facts)
      }
      return resolved
    } finally {
      rmdirSync(target)
    }
  }
}
