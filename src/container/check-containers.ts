import { mkdirSync, rmSync, statSync } from 'node:fs'
import type { ContainerId } from '../driver-kit/ids.ts'
import { bootId, isAlive } from '../host/process-identity.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { readBundleSpec } from './bundle-spec.ts'
import { type ContainerCopies, saySame } from './container-copies.ts'
import type { ContainerRecord } from './container-record.ts'
import type { ContainerServices } from './services.ts'

/** Where records of containers and their directories disagree. */
export interface ContainerProblem {
  readonly kind:
    | 'unrecorded_container'
    | 'unreadable_container'
    | 'leftover_container'
    | 'missing_container_directory'
    | 'outdated_container_copy'
  /** The container's id. */
  readonly id: string
  readonly message: string
  readonly repaired: boolean
}

export interface CheckContainersOptions extends CallOptions {
  readonly repair?: boolean | undefined
}

type Services = Pick<ContainerServices, 'records' | 'paths' | 'runtime' | 'networks'>

/** What was found, and which containers nobody can record although their files are here. */
export interface CheckedContainers {
  readonly problems: readonly ContainerProblem[]
  readonly unreadable: readonly string[]
}

/** Compares the records of containers with their directories; repairs by the copies that lie there. */
export async function checkContainers(
  services: Services,
  copies: ContainerCopies,
  options: CheckContainersOptions,
): Promise<CheckedContainers> {
  const problems: ContainerProblem[] = []
  const unreadable: string[] = []
  const report = (kind: ContainerProblem['kind'], id: string, message: string, repaired = options.repair === true) =>
    problems.push({ kind, id, message, repaired })
  // The directories first: the record of a container is there before and after its directory.
  for (const id of copies.directories()) {
    throwIfAborted(options, 'Checking containers')
    const copy = copies.read(id)
    if (services.records.find(id) || !isThere(services, id)) continue
    if (copy === 'damaged') {
      unreadable.push(id)
      report(
        'unreadable_container',
        id,
        `The container ${id} is not recorded, and the copy of its record in ${services.paths.container(id)} is damaged. Save what you need of it, end its processes and remove that directory.`,
        false,
      )
    } else if (copy === 'missing') {
      if (options.repair) await discardLeftover(services, id as ContainerId)
      report('leftover_container', id, `The files of a container ${id} were left behind by a process that is gone.`)
    } else {
      if (options.repair) restore(services, copy)
      report('unrecorded_container', id, `The container ${copy.name} (${id}) is here and not recorded.`)
    }
  }
  for (const record of services.records.all()) {
    if (record.status === 'creating' || record.status === 'removing') continue
    if (!isThere(services, record.id)) {
      if (!services.records.find(record.id)) continue
      if (options.repair) mkdirSync(services.paths.container(record.id), { recursive: true, mode: 0o700 })
      report(
        'missing_container_directory',
        record.id,
        `The directory of container ${record.name} is gone, with its log and what it was last started with.`,
      )
    }
    if (record.lifetime !== 'detached' && !record.keep) continue
    const problem = compare(services, copies, record, options)
    if (problem) report('outdated_container_copy', record.id, problem)
  }
  return { problems, unreadable }
}

const isThere = ({ paths }: Services, id: string): boolean =>
  statSync(paths.container(id), { throwIfNoEntry: false })?.isDirectory() ?? false

const isActive = ({ status }: ContainerRecord): boolean => ['starting', 'running', 'paused'].includes(status)

function restore(services: Services, copy: ContainerRecord): void {
  services.records.restore(copy)
  if (isActive(copy)) services.networks.restore(copy.id, services.paths.container(copy.id))
}

/** What runs of it is ended: its record, its claims and its tree are gone, so nobody could ever reach it. */
async function discardLeftover(services: Services, id: ContainerId): Promise<void> {
  const directory = services.paths.container(id)
  const spec = readBundleSpec(directory)
  if (spec) await services.runtime.sweep(id, { directory, spec })
  await services.networks.detach(id, true)
  rmSync(directory, { recursive: true, force: true })
}

/** Says what differs, and settles it when it is to be repaired. */
function compare(
  services: Services,
  copies: ContainerCopies,
  record: ContainerRecord,
  { repair }: CheckContainersOptions,
): string | null {
  const copy = copies.read(record.id)
  if (typeof copy === 'object' && saySame(copy, record)) return null
  // It moves just now, or has been removed.
  const now = services.records.find(record.id)
  if (now === null || now.status === 'removing' || !saySame(now, record)) return null
  if (typeof copy !== 'object') {
    if (repair) services.records.rewriteCopy(record.id)
    return `The copy of the record of container ${record.name} is ${copy}.`
  }
  const revived = !isActive(record) && runsNow(copy)
  if (repair) {
    // The copy has a digest and is written before the record, so it knows better; but its last state may be older when
    // the power went.
    services.records.overwrite(revived || copy.status === record.status ? copy : withState(copy, record))
    if (revived) services.networks.restore(copy.id, services.paths.container(copy.id))
  }
  return revived
    ? `The container ${record.name} is recorded as ${record.status}, but it runs: the last changes of the records were lost.`
    : `The record of container ${record.name} is not what its copy says.`
}

const withState = (
  copy: ContainerRecord,
  { status, pid, pidStart, exit, error, restartCount, startedAt }: ContainerRecord,
): ContainerRecord => ({ ...copy, status, pid, pidStart, exit, error, restartCount, startedAt })

const runsNow = (copy: ContainerRecord): boolean =>
  isActive(copy) &&
  copy.pid !== null &&
  copy.pidStart !== null &&
  isAlive({ pid: copy.pid, startTime: copy.pidStart, bootId: bootId() })
