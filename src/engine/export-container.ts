import { randomBytes } from 'node:crypto'
import { mkdirSync, rmdirSync } from 'node:fs'
import type { ContainerId } from '../driver-kit/ids.ts'
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
      const mounts =
        running && record.pid !== null
          ? [{ type: 'bind', source: `/proc/${record.pid}/root`, options: ['bind', 'ro'] }]
          : await services.roots.mounts(id, call)
      const directory = services.paths.workMount(`export-${randomBytes(6).toString('hex')}`)
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      return { tree: { target: directory, mounts }, [Symbol.asyncDispose]: async () => rmdirSync(directory) }
    },
    target,
    call,
  )
}
