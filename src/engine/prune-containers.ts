import type { ContainerId } from '../driver-kit/ids.ts'
import { parseOptionObject } from '../driver-kit/options.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { parseLabels } from '../image/image-filter.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { coreTokens } from './core-tokens.ts'
import { usageIfThere } from './disk-usage.ts'
import { parseUntil } from './parse-until.ts'
import type { Parts } from './parts.ts'
import type { ContainerPruneFilter, ContainersPruneReport } from './removal-reports.ts'

/** Whoever makes a container and starts it with the next call must not lose it between the two. */
const youngest = 60_000

/**
 * Removes containers that ended, or were created and not started: those only a minute later, unless `until` says
 * otherwise. One that is started meanwhile stays, and so do those that a living process owns and will remove itself.
 *
 * @throws `call.unknown_option`, `call.bad_option`, `call.aborted`
 */
export async function pruneContainers(
  parts: Parts,
  filter: ContainerPruneFilter | undefined,
  call?: CallOptions,
): Promise<ContainersPruneReport> {
  const { labels = [], until } = parseOptionObject('containers.prune', filter, {
    labels: parseLabels,
    until: parseUntil,
  })
  const [core, storage] = await Promise.all([parts.get(coreTokens.containers), parts.get(coreTokens.storage)])
  const deleted: ContainerId[] = []
  let spaceReclaimed = 0
  const { owner } = core.services
  const startsBy = until ?? new Date(Date.now() - youngest)
  for (const record of core.list({ status: ['created', 'exited'], labels: Object.fromEntries(labels) })) {
    throwIfAborted(call, 'Pruning containers')
    if (record.lifetime === 'process' && !record.keep && record.owner !== owner.id) continue
    const limit = record.status === 'created' ? startsBy : until
    if (limit && record.createdAt >= limit) continue
    const bytes = await usageIfThere(storage, record.id, call)
    try {
      await core.remove(record, { force: false }, call)
    } catch (error) {
      const started =
        isEngineError(error, { code: 'container.running' }) || isEngineError(error, { code: 'container.busy' })
      if (started) continue
      throw error
    }
    deleted.push(record.id)
    spaceReclaimed += bytes
  }
  return { deleted, spaceReclaimed }
}
