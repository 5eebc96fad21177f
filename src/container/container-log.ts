import type { LogEntry, LogReader, LogSink } from '../driver-kit/log-driver.ts'
import { containerErrors } from '../errors/container-errors.ts'
import { keepAlive } from '../lifetime/keep-alive.ts'
import { type BatchSource, iterateBatches } from '../logging/batch-iterator.ts'
import type { FollowQuery } from '../logging/follow.ts'
import { StoredFollower } from '../logging/stored-follower.ts'
import type { ContainerRecord } from './container-record.ts'
import type { LocalHolder } from './local-holder.ts'
import { subjectOfLog } from './log-subject.ts'
import type { ContainerServices } from './services.ts'
import { isRunning } from './state-guards.ts'
import { waitForContainer } from './wait-container.ts'

/** Opens the log of a container that is to run. */
export async function openSink(services: ContainerServices, record: ContainerRecord): Promise<LogSink> {
  const { driver: name, options } = record.spec.log
  const driver = await services.logDriver(name)
  return driver.openSink(subjectOfLog(record, services.paths.container(record.id)), driver.parseSinkOptions(options))
}

/** Which entries to read. `follow` goes on until the container ends; default false. */
export type ContainerLogQuery = FollowQuery

/** A container's log: from its holder when that is this process, else from what is stored. */
export function readContainerLog(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  query: ContainerLogQuery = {},
): AsyncIterable<LogEntry> {
  return iterateBatches(() => new ContainerLog(services, holder, record, query), query.signal)
}

/** Where the entries come from is found out when the first one is asked for. */
class ContainerLog implements BatchSource {
  readonly #services: ContainerServices
  readonly #holder: LocalHolder
  readonly #record: ContainerRecord
  readonly #query: ContainerLogQuery
  readonly #left = new AbortController()
  #source: Promise<BatchSource> | null = null
  #alive: Disposable | null = null
  #reader: LogReader | null = null

  constructor(services: ContainerServices, holder: LocalHolder, record: ContainerRecord, query: ContainerLogQuery) {
    this.#services = services
    this.#holder = holder
    this.#record = record
    this.#query = query
  }

  async next(): Promise<readonly LogEntry[] | null> {
    this.#source ??= this.#open()
    return (await this.#source).next()
  }

  async #open(): Promise<BatchSource> {
    const held = this.#holder.get(this.#record.id)
    if (held) {
      this.#alive = keepAlive()
      return held.pump.followBatches({ ...this.#query, follow: this.#query.follow ?? false })
    }
    const reader = await this.#openReader()
    this.#reader = reader
    const { follow, ...rest } = this.#query
    const now = this.#services.records.find(this.#record.id)
    const goesOn = follow && now !== null && (isRunning(now) || now.status === 'starting')
    return new StoredFollower(reader, rest, goesOn ? this.#end() : null)
  }

  async #openReader(): Promise<LogReader> {
    const { id, name, spec } = this.#record
    const driver = await this.#services.logDriver(spec.log.driver)
    if (!driver.openReader)
      throw containerErrors.error('log_unreadable', {
        message: `The log driver "${spec.log.driver}" of ${name} cannot read back what it delivered. Look where it delivers to.`,
        subject: { type: 'container', id },
      })
    const directory = this.#services.paths.container(id)
    return driver.openReader({ containerId: id, directory }, driver.parseSinkOptions(spec.log.options), this.#query)
  }

  /** Fires when the container has ended. */
  #end(): AbortSignal {
    const ended = new AbortController()
    const call = { signal: this.#left.signal }
    const end = waitForContainer(this.#services, this.#holder, this.#record, 'not-running', call)
    end.catch(() => {}).finally(() => ended.abort())
    return ended.signal
  }

  async close(): Promise<void> {
    this.#left.abort()
    const source = await this.#source?.catch(() => null)
    await source?.close()
    this.#alive?.[Symbol.dispose]()
    await this.#reader?.[Symbol.asyncDispose]()
  }
}
