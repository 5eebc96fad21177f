import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { AnyDriverDefinition } from '../../driver-kit/definition.ts'
import type { Diagnostic } from '../../driver-kit/diagnostics.ts'
import { createHost, type Host } from '../../host/host.ts'
import type { MountSpec } from '../../host/mount-spec.ts'
import { Scope } from '../../lifetime/scope.ts'
import { chainIds } from '../../oci/chain-id.ts'
import { digestOf } from '../../oci/digest.ts'
import { openStorage, type StorageChoice } from '../../snapshot/open-storage.ts'
import type { ChainLayer, SnapshotService } from '../../snapshot/snapshot-service.ts'
import { openState, type State } from '../../state/open-state.ts'
import { type Owner, Owners } from '../../state/owners.ts'

/** An opened data root with its storage, as an engine has it. For tests. */
export interface OpenedStorage extends AsyncDisposable {
  readonly storage: SnapshotService
  readonly state: State
  readonly owner: Owner
  readonly owners: Owners
  readonly host: Host
  readonly reported: readonly Diagnostic[]
  /** Mounts a tree while `work` runs. */
  mounted<T>(mounts: readonly MountSpec[], work: (root: string) => T | Promise<T>): Promise<T>
}

export async function openTestStorage(
  root: string,
  definitions: readonly AnyDriverDefinition[],
  choice?: StorageChoice,
): Promise<OpenedStorage> {
  const scope = new Scope()
  try {
    const state = scope.own(openState(root))
    const owners = new Owners(state.db, state.paths)
    const owner = scope.own(owners.register('engine'))
    const reported: Diagnostic[] = []
    const diagnostics = (diagnostic: Diagnostic) => void reported.push(diagnostic)
    const host = scope.own(createHost({ diagnostics }))
    const parts = { host, paths: state.paths, db: state.db, definitions, choice, diagnostics, owner: owner.id }
    const storage = scope.own(await openStorage(parts))
    return {
      storage,
      state,
      owner,
      owners,
      host,
      reported,
      async mounted<T>(mounts: readonly MountSpec[], work: (root: string) => T | Promise<T>): Promise<T> {
        mkdirSync(state.paths.temporary, { recursive: true })
        const target = mkdtempSync(join(state.paths.temporary, 'mount-'))
        const lease = await host.launcher.mount({ target, mounts })
        try {
          return await work(lease.path)
        } finally {
          await lease[Symbol.asyncDispose]()
          rmSync(target, { recursive: true })
        }
      },
      [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
    }
  } catch (error) {
    await scope[Symbol.asyncDispose]()
    throw error
  }
}

/** Layers with made-up contents, and the chain they make. */
export function testChain(...names: readonly string[]): readonly ChainLayer[] {
  const diffIds = names.map((name) => digestOf(name))
  const chain = chainIds(diffIds)
  return diffIds.map((diffId, index) => ({ diffId, chainId: chain[index]! }))
}
