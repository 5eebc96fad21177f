import type { ContainerId } from '../driver-kit/ids.ts'
import type { LogEntry } from '../driver-kit/log-driver.ts'
import { containerErrors } from '../errors/container-errors.ts'
import { type ProcessFacts, readProcessFacts } from '../host/process-facts.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Resources } from '../runtime/resources.ts'
import { adoptContainer } from './adopt-container.ts'
import type { AttachContainerOptions, AttachedStreams } from './attach-container.ts'
import { attachHeld } from './attach-container.ts'
import { type ContainerLogQuery, readContainerLog } from './container-log.ts'
import { parseContainerName } from './container-name.ts'
import type { ContainerRecord, ExitStatus } from './container-record.ts'
import { notFound } from './container-records.ts'
import type { ContainerSpec } from './container-spec.ts'
import { type ContainerStats, containerStats } from './container-stats.ts'
import { type CreatedContainer, createContainer } from './create-container.ts'
import { type ExecProcess, type SpawnOptions, spawnInContainer } from './exec-container.ts'
import { setPaused } from './frozen.ts'
import { type ContainerInspect, inspectContainer } from './inspect-container.ts'
import { type ContainerFilter, containerPredicate } from './list-filter.ts'
import { liveTask } from './live-task.ts'
import { LocalHolder } from './local-holder.ts'
import { removeContainer } from './remove-container.ts'
import { RootFacts } from './root-facts.ts'
import type { ContainerServices } from './services.ts'
import { startContainer } from './start-container.ts'
import { startDetached } from './start-detached.ts'
import { requireRunning } from './state-guards.ts'
import { killContainer, stopContainer } from './stop-container.ts'
import { updateContainer } from './update-container.ts'
import { type WaitCondition, waitForContainer } from './wait-container.ts'

/** Every verb on containers, by id, for the handles of an engine and for the monitor. */
export class ContainerCore implements AsyncDisposable {
  readonly services: ContainerServices
  readonly holder = new LocalHolder()
  readonly #facts: RootFacts

  constructor(services: ContainerServices) {
    this.services = services
    this.#facts = new RootFacts(services)
  }

  create(spec: ContainerSpec, call?: CallOptions): Promise<CreatedContainer> {
    return createContainer(this.services, spec, call)
  }

  find(idOrName: string): ContainerRecord | null {
    return this.services.records.resolve(idOrName)
  }

  require(idOrName: string): ContainerRecord {
    const record = this.find(idOrName)
    if (!record) throw notFound(idOrName)
    return record
  }

  *list(filter?: ContainerFilter): Iterable<ContainerRecord> {
    yield* this.services.records.all().filter(containerPredicate(filter))
  }

  /** Starts it where it belongs: `process` containers here, detached ones in the monitor. */
  async start(id: ContainerId, onLog: ((entry: LogEntry) => void) | undefined, call?: CallOptions): Promise<void> {
    const record = this.#present(id)
    if (record.lifetime === 'detached' && this.services.owner.role === 'engine')
      return startDetached(this.services, record, call)
    if (record.lifetime === 'process' && record.owner !== this.services.owner.id && !record.keep)
      throw this.heldElsewhere(record, 'started')
    return startContainer(this.services, this.holder, this.#facts, record, { ...call, onLog })
  }

  stop(
    id: ContainerId,
    options: { readonly signal: number | null; readonly graceMs: number | null },
    call?: CallOptions,
  ): Promise<ExitStatus | null> {
    const record = this.#present(id)
    const signal = options.signal ?? record.spec.stopSignal
    const graceMs = options.graceMs ?? record.spec.stopTimeoutMs
    return stopContainer(this.services, this.holder, record, { signal, graceMs }, call)
  }

  kill(id: ContainerId, signal: number, call?: CallOptions): Promise<void> {
    return killContainer(this.services, this.holder, this.#present(id), signal, call)
  }

  setPaused(id: ContainerId, paused: boolean, call?: CallOptions): Promise<void> {
    return setPaused(this.services, this.holder, this.#present(id), paused, call)
  }

  update(id: ContainerId, changes: Resources, call?: CallOptions): Promise<void> {
    return updateContainer(this.services, this.holder, this.#present(id), changes, call)
  }

  wait(record: ContainerRecord, until: WaitCondition, call?: CallOptions): Promise<ExitStatus> {
    return waitForContainer(this.services, this.holder, record, until, call)
  }

  async remove(record: ContainerRecord, options: { readonly force: boolean }, call?: CallOptions): Promise<void> {
    await removeContainer(this.services, this.holder, record, options, call)
  }

  spawn(id: ContainerId, argv: readonly string[], options?: SpawnOptions): Promise<ExecProcess> {
    return spawnInContainer(this.services, this.holder, this.#present(id), argv, options)
  }

  logs(id: ContainerId, query?: ContainerLogQuery): AsyncIterable<LogEntry> {
    return readContainerLog(this.services, this.holder, this.#present(id), query)
  }

  /** Null when another process holds it. */
  attach(id: ContainerId, options?: AttachContainerOptions): AttachedStreams | null {
    return attachHeld(this.holder, this.#present(id), options)
  }

  stats(id: ContainerId, intervalMs: number, call?: CallOptions): AsyncGenerator<ContainerStats> {
    return containerStats(this.services, this.holder, this.#present(id), intervalMs, call)
  }

  /** Of all its processes, by host pid. */
  async top(id: ContainerId, call?: CallOptions): Promise<readonly ProcessFacts[]> {
    const record = this.#present(id)
    requireRunning(record, 'top')
    const task = await liveTask(this.services, this.holder, record, call)
    const pids = [...((await task?.processes(call)) ?? [])].sort((a, b) => a - b)
    return pids.map((pid) => readProcessFacts(pid)).filter((facts) => facts !== null)
  }

  inspect(id: ContainerId): ContainerInspect {
    return inspectContainer(this.services, this.#present(id))
  }

  rename(id: ContainerId, name: string): void {
    this.services.records.rename(this.#present(id), parseContainerName(name))
  }

  keep(id: ContainerId): void {
    this.services.records.setKeep(this.#present(id))
  }

  adopt(record: ContainerRecord): Promise<void> {
    return adoptContainer(this.services, this.holder, record)
  }

  /** Ends every container that this process holds; for engines, whose containers may not outlive them. */
  async [Symbol.asyncDispose](): Promise<void> {
    const mine = this.services.records
      .all()
      .filter((record) => record.lifetime === 'process' && record.owner === this.services.owner.id)
    const results = await Promise.allSettled(
      mine.map((record) =>
        record.keep ? this.stop(record.id, { signal: null, graceMs: null }) : this.remove(record, { force: true }),
      ),
    )
    await this.holder.settle()
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
    if (failures.length > 0) throw new AggregateError(failures, 'Some containers could not be ended at disposal.')
  }

  #present(id: ContainerId): ContainerRecord {
    const record = this.services.records.find(id)
    if (!record) throw notFound(id)
    return record
  }

  heldElsewhere(record: ContainerRecord, what: string) {
    return containerErrors.error('held_elsewhere', {
      message: `${record.name} belongs to another process and can only be ${what} by that one. Create it with lifetime: 'detached' to share it.`,
      subject: { type: 'container', id: record.id },
    })
  }
}
