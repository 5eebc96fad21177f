import type { LogEntry, LogSink } from '../driver-kit/log-driver.ts'
import { containerErrors } from '../errors/container-errors.ts'
import { keepAlive } from '../lifetime/keep-alive.ts'
import type { FollowQuery } from '../logging/follow.ts'
import { followReader, readLog } from '../logging/read-log.ts'
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
export async function* readContainerLog(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  query: ContainerLogQuery = {},
): AsyncIterable<LogEntry> {
  const held = holder.get(record.id)
  if (held) {
    using _alive = keepAlive()
    yield* held.pump.follow({ ...query, follow: query.follow ?? false })
    return
  }
  const { driver: name, options } = record.spec.log
  const driver = await services.logDriver(name)
  if (!driver.openReader)
    throw containerErrors.error('log_unreadable', {
      message: `The log driver "${name}" of ${record.name} cannot read back what it delivered. Look where it delivers to.`,
      subject: { type: 'container', id: record.id },
    })
  await using reader = await driver.openReader(
    { containerId: record.id, directory: services.paths.container(record.id) },
    driver.parseSinkOptions(options),
    query,
  )
  const { follow, ...rest } = query
  const now = services.records.find(record.id)
  if (!follow || !now || !(isRunning(now) || now.status === 'starting')) {
    yield* readLog(reader, rest)
    return
  }
  const ended = new AbortController()
  const left = new AbortController()
  const end = waitForContainer(services, holder, record, 'not-running', { signal: left.signal })
  end.catch(() => {}).finally(() => ended.abort())
  try {
    yield* followReader(reader, rest, ended.signal)
  } finally {
    left.abort()
  }
}
