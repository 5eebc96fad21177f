import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, rmdirSync } from 'node:fs'
import type { ContainerId } from '../driver-kit/ids.ts'
import { errnoOf, fromNodeError } from '../errors/host-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Operation } from '../progress/operation.ts'
import { exportRootfs } from '../transfer/export-rootfs.ts'
import { coreTokens } from './core-tokens.ts'
import type { Parts } from './parts.ts'

/** Exports the tree of a container; of a running one through its own mount, since an overlay may not be mounted twice. */
export function exportContainer(
  parts: Parts,
  id: ContainerId,
  target: string | NodeJS.WritableStream,
  call?: CallOptions,
): Operation<void> {
  return exportRootfs(
    async () => {
      const { services } = await parts.get(coreTokens.containers)
      const record = services.records.require(id)
      const running = record.status === 'running' || record.status === 'paused'
      const namespace = running && record.pid !== null ? openMountNamespace(record.pid) : null
      if (namespace !== null)
        return { tree: { kind: 'running', namespace }, [Symbol.asyncDispose]: async () => closeSync(namespace) }
      const mounts = await services.roots.mounts(id, call)
      const directory = services.paths.workMount(`export-${randomBytes(6).toString('hex')}`)
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      return {
        tree: { kind: 'tree', tree: { target: directory, mounts } },
        [Symbol.asyncDispose]: async () => rmdirSync(directory),
      }
    },
    target,
    call,
  )
}

/** Null when the process has ended meanwhile. */
function openMountNamespace(pid: number): number | null {
  try {
    return openSync(`/proc/${pid}/ns/mnt`, 'r')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return null
    throw fromNodeError(error)
  }
}
