import { commitContainer } from '../container/commit-container.ts'
import { listContainerChanges } from '../container/container-changes.ts'
import type { ContainerCore } from '../container/container-core.ts'
import { sweepDeadOwners } from '../container/sweep.ts'
import type { ContainerId } from '../driver-kit/ids.ts'
import type { TreeChange } from '../layer/change-list.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { raceAbort } from '../lifetime/call-options.ts'
import { Scope } from '../lifetime/scope.ts'
import type { Digest } from '../oci/digest.ts'
import type { Operation, OperationContext } from '../progress/operation.ts'
import { parseImageSelector } from '../reference/image-selector.ts'
import type { CommitOptions } from '../transfer/commit-options.ts'
import { importRootfs } from '../transfer/import-rootfs.ts'
import { loadImages } from '../transfer/load-images.ts'
import { type PullOptions, pullImage } from '../transfer/pull-image.ts'
import { pushImage } from '../transfer/push-image.ts'
import { pushIndex } from '../transfer/push-index.ts'
import { saveImages } from '../transfer/save-images.ts'
import { squashImage } from '../transfer/squash-image.ts'
import { adoptRecorded, type CheckOptions, type ConsistencyReport, checkEngine } from './check-engine.ts'
import { collectEngineGarbage, type EngineGarbageReport } from './collect-engine-garbage.ts'
import { coreParts } from './core-parts.ts'
import { coreTokens } from './core-tokens.ts'
import { type DiskUsage, type DiskUsageOptions, readDiskUsage } from './disk-usage.ts'
import type { ParsedEngineOptions } from './engine-options.ts'
import { exportContainer } from './export-container.ts'
import { freeLeftOver } from './free-removed.ts'
import { ImageVerbs } from './image-verbs.ts'
import { type EngineInfo, readEngineInfo } from './info.ts'
import type { Parts, Token } from './parts.ts'
import { type ProbeReport, probeMachine } from './probe.ts'
import { pruneContainers } from './prune-containers.ts'
import { type PruneOptions, type PruneReport, pruneEngine } from './prune-engine.ts'
import { rebuildRecords } from './rebuild-records.ts'
import { relay } from './relay.ts'
import type { ContainerPruneFilter, ContainersPruneReport } from './removal-reports.ts'
import { removeAbandonedImages } from './remove-abandoned-images.ts'
import { requirePrivilege } from './require-privilege.ts'
import { resetEngine } from './reset-engine.ts'
import { settleCopies } from './settle-copies.ts'
import { sweepCgroups } from './sweep-cgroups.ts'
import { sweepScratch } from './sweep-scratch.ts'
import { wire } from './wiring.ts'

/**
 * An open engine behind its facade. `Engine.open` loads this file and all below it, so that importing the package costs
 * a process little until it opens an engine.
 */
export class EngineCore implements AsyncDisposable {
  readonly transfers = { loadImages, saveImages, importRootfs, pullImage, pushImage, pushIndex, squashImage }
  readonly #parts: Parts
  readonly containers: ContainerCore
  readonly images: ImageVerbs
  readonly #scope: Scope

  private constructor(parts: Parts, containers: ContainerCore, scope: Scope) {
    this.#parts = parts
    this.containers = containers
    this.images = new ImageVerbs(parts)
    this.#scope = scope
  }

  /** `repair`: what copies know more than the records is left for the check to take over. */
  static async open(
    options: ParsedEngineOptions,
    call?: CallOptions,
    purpose: 'use' | 'repair' = 'use',
  ): Promise<EngineCore> {
    requirePrivilege()
    const scope = new Scope()
    try {
      const parts = wire([...coreParts(options, 'engine', scope), ...(options.parts ?? [])])
      const containers = await raceAbort(start(parts, scope, purpose), call?.signal, 'Engine.open')
      return new EngineCore(parts, containers, scope)
    } catch (error) {
      await scope[Symbol.asyncDispose]()
      throw error
    }
  }

  static probe(options: ParsedEngineOptions, call?: CallOptions): Promise<ProbeReport> {
    return probeMachine(options, call)
  }

  /** What `rebuildRecords` does, for a root that cannot be opened. */
  static async rebuildRecords(
    options: ParsedEngineOptions,
    force: boolean,
    call?: CallOptions,
  ): Promise<ConsistencyReport | null> {
    requirePrivilege()
    return rebuildRecords(options, force, call)
  }

  get<T>(token: Token<T>): T {
    return this.#parts.get(token)
  }

  info(call?: CallOptions): Promise<EngineInfo> {
    return readEngineInfo(this.#parts, call)
  }

  diskUsage(options?: DiskUsageOptions): Promise<DiskUsage> {
    return readDiskUsage(this.#parts, options)
  }

  pruneContainers(filter: ContainerPruneFilter | undefined, call?: CallOptions): Promise<ContainersPruneReport> {
    return pruneContainers(this.#parts, filter, call)
  }

  prune(what: PruneOptions | undefined, call?: CallOptions): Promise<PruneReport> {
    return pruneEngine(this.#parts, this.images, what, call)
  }

  gc(call?: CallOptions): Promise<EngineGarbageReport> {
    return collectEngineGarbage(this.#parts, call)
  }

  async check(options: CheckOptions, call?: CallOptions): Promise<ConsistencyReport['problems']> {
    const problems = await checkEngine(this.#parts, options, call)
    if (options.repair) await adoptRecorded(this.#parts, call)
    return problems
  }

  reset(call?: CallOptions): Promise<readonly string[]> {
    return resetEngine(this.#parts, call)
  }

  /** Pulls an image by its name as the policy says, unless the text is the id of one that is here. */
  async bringImage(name: string, options: PullOptions, context: OperationContext): Promise<void> {
    const { id, reference } = parseImageSelector(name)
    const images = this.#parts.get(coreTokens.images)
    const present = images.find(name)
    const byId = id !== null || (present && images.nameMeant(name, present) === null)
    // A name with a digest may be of an image with another tag: `pull` looks for it.
    if (byId && !reference?.digest) return
    const services = await this.#parts.get(coreTokens.transfer)
    // What it means when nothing is pinned, `create` sees itself.
    if (options.policy === 'never' && !services.imageLock) return
    const registries = () => this.#parts.get(coreTokens.registries)
    const pulling = pullImage(services, registries, name, { ...options, signal: context.signal }, 'run')
    await relay(pulling, context)
  }

  exportRootfs(id: ContainerId, target: string | NodeJS.WritableStream, call?: CallOptions): Operation<void> {
    return exportContainer(this.#parts, id, target, call)
  }

  /** What the container has changed, in the order of the paths. */
  async diff(id: ContainerId, call?: CallOptions): Promise<readonly TreeChange[]> {
    const trees = await this.#parts.get(coreTokens.trees)
    const { services } = this.containers
    return listContainerChanges(services, trees, services.records.require(id), call)
  }

  /** Gives the new image's id. */
  async commit(id: ContainerId, options: CommitOptions | undefined, context: OperationContext): Promise<Digest> {
    const transfer = await this.#parts.get(coreTokens.transfer)
    const trees = await this.#parts.get(coreTokens.trees)
    const { services: containers, holder } = this.containers
    const operation = commitContainer({ containers, holder, transfer, trees }, id, {
      ...options,
      signal: context.signal,
    })
    return (await relay(operation, context)).id
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]()
  }
}

async function start(parts: Parts, scope: Scope, purpose: 'use' | 'repair'): Promise<ContainerCore> {
  // The launcher's thread comes up on another processor meanwhile.
  parts.get(coreTokens.host).prepare()
  parts.get(coreTokens.owner)
  const containers = await parts.get(coreTokens.containers)
  scope.defer(() => removeAbandonedImages(parts, 'leaving'))
  scope.defer(() => containers[Symbol.asyncDispose]())
  await sweep(parts, containers, purpose)
  return containers
}

/** Takes back what dead processes left. */
async function sweep(parts: Parts, { services, holder }: ContainerCore, purpose: 'use' | 'repair'): Promise<void> {
  const t = coreTokens
  const owners = parts.get(t.owners)
  const report = await sweepDeadOwners(services, holder, owners)
  const storage = await parts.get(t.storage)
  const dead = report.owners.map((owner) => owner.id)
  await storage.sweep(dead)
  parts.get(t.content).adopt(dead)
  if (purpose === 'use') await settleCopies(parts, report.owners)
  for (const owner of report.owners) {
    await sweepCgroups(parts.get(t.host).cgroups, owner.id)
    sweepScratch(parts.get(t.state).paths, owner.id)
    owners.forget(owner.id)
  }
  await removeAbandonedImages(parts)
  await freeLeftOver(parts)
  // Rules and claims that a killed process left, and foreign changes behind the backs of containers that run on.
  if (report.owners.length > 0) await parts.get(t.networks).reconcile()
  const held = services.records
    .all()
    .some(({ lifetime, status }) => lifetime === 'detached' && ['starting', 'running', 'paused'].includes(status))
  // Somebody must hold the pipes of detached containers; a monitor that lives answers at once.
  if (held) await parts.get(t.monitor).ensure()
}
