import { randomBytes } from 'node:crypto'
import { mkdirSync, rmdirSync } from 'node:fs'
import type { MountLease } from '../host/launcher.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { ContainerRecord } from './container-record.ts'
import type { ContainerServices } from './services.ts'

/** Mounts the root of a container that does not run, for looking at it or preparing it. */
export async function leaseRoot(
  services: Pick<ContainerServices, 'roots' | 'mount' | 'paths'>,
  record: Pick<ContainerRecord, 'id'>,
  call?: CallOptions,
): Promise<MountLease> {
  const mounts = await services.roots.mounts(record.id, call)
  const target = services.paths.workMount(`${record.id.slice(0, 12)}-${randomBytes(4).toString('hex')}`)
  mkdirSync(target, { recursive: true, mode: 0o700 })
  try {
    const lease = await services.mount(target, mounts, call)
    return {
      path: lease.path,
      async [Symbol.asyncDispose]() {
        await lease[Symbol.asyncDispose]()
        rmdirSync(target)
      },
    }
  } catch (error) {
    rmdirSync(target)
    throw error
  }
}
