import type { OwnerRecord, Owners } from '../state/owners.ts'
import { readBundleSpec } from './bundle-spec.ts'
import type { ContainerRecord } from './container-record.ts'
import { thawAbandoned } from './frozen.ts'
import { dismissKeeper } from './keeper.ts'
import type { LocalHolder } from './local-holder.ts'
import { discardContainer } from './remove-container.ts'
import type { ContainerServices } from './services.ts'
import { isRunning } from './state-guards.ts'

/** What a sweep took away. */
export interface SweepReport {
  readonly owners: readonly OwnerRecord[]
  readonly containers: readonly string[]
}

/** What an exit status says that nobody saw: Docker's value for containers found dead at start-up. */
export const lostExitCode = 255

/**
 * Takes back what dead owners left: their `process` containers (kept ones become `exited`), half-made containers and
 * unfinished removals; what a dead process froze for a commit goes on. Detached containers are the monitor's to adopt. Can be run by several processes at once.
 */
export async function sweepDeadOwners(
  services: ContainerServices,
  holder: LocalHolder,
  owners: Owners,
): Promise<SweepReport> {
  await owners.settle()
  const dead = owners.dead()
  const gone = new Set(dead.map((owner) => owner.id))
  const living = (id: string | null) => id !== null && !gone.has(id) && owners.isAlive(id)
  const swept: string[] = []
  for (const record of services.records.all()) {
    if (isRunning(record)) await thawAbandoned(services, holder, record)
    // Whoever is moving it is alive and will finish it.
    if (living(record.holder)) continue
    const orphaned = record.owner === null || gone.has(record.owner) || !owners.isAlive(record.owner)
    if (record.status === 'removing' || (record.status === 'creating' && orphaned)) {
      await sweepRuntime(services, record)
      await discardContainer(services, record, true)
      swept.push(record.id)
    } else if (record.lifetime === 'process' && orphaned) {
      if (await sweepProcessContainer(services, record)) swept.push(record.id)
    }
  }
  return { owners: dead, containers: swept }
}

async function sweepProcessContainer(services: ContainerServices, record: ContainerRecord): Promise<boolean> {
  if (record.keep && (record.status === 'exited' || record.status === 'created')) return false
  await sweepRuntime(services, record)
  if (record.keep) {
    await services.networks.detach(record.id, true)
    services.records.move(record, ['starting', 'running', 'paused'], 'exited', {
      holder: null,
      pid: null,
      pidStart: null,
      error: 'The process that held the container ended.',
      exit: { exitCode: 137, signal: 'SIGKILL', oomKilled: false, finishedAt: new Date() },
    })
    return true
  }
  const moved = services.records.move(record, ['created', 'starting', 'running', 'paused', 'exited'], 'removing', {
    holder: services.owner.id,
  })
  if (moved) await discardContainer(services, moved, true)
  return moved !== null
}

/** Ends whatever still runs of a container and drops the runtime's own traces. */
export async function sweepRuntime(services: ContainerServices, record: ContainerRecord): Promise<void> {
  const directory = services.paths.container(record.id)
  const spec = readBundleSpec(directory)
  dismissKeeper(directory)
  if (spec) await services.runtime.sweep(record.id, { directory, spec })
}
