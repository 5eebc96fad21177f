import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortError } from '../errors/call-errors.ts'
import { containerErrors } from '../errors/container-errors.ts'
import type { ResourceUsage } from '../host/cgroup/usage.ts'
import { type NetworkCounters, readNetworkCounters } from '../host/network-counters.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { ContainerRecord } from './container-record.ts'
import { liveTask } from './live-task.ts'
import type { LocalHolder } from './local-holder.ts'
import type { ContainerServices } from './services.ts'
import { isRunning, requireRunning } from './state-guards.ts'

/** Shorter than the kernel's own bookkeeping would say nothing. */
const shortestIntervalMs = 10
const longestIntervalMs = 20 * 86_400_000

/** What a container uses. Counters begin with its start; null where this machine does not count. */
export interface ContainerStats extends ResourceUsage {
  readonly time: Date
  /** Since the sample before; null in the first one. */
  readonly rates: ContainerRates | null
  /** By name, inside of the container; none when it has the host's network. */
  readonly networks: Readonly<Record<string, NetworkCounters>>
}

/** What is used in a second, on average since the sample before. */
export interface ContainerRates {
  /** Processors in use: 0.5 is half of one, 2 are two whole ones. */
  readonly processors: number | null
  readonly readBytesPerSecond: number | null
  readonly writtenBytesPerSecond: number | null
  readonly receivedBytesPerSecond: number
  readonly sentBytesPerSecond: number
}

/** Samples until the container ends; the first one at once. */
export async function* containerStats(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  intervalMs: number,
  call?: CallOptions,
): AsyncGenerator<ContainerStats> {
  if (intervalMs < shortestIntervalMs || intervalMs > longestIntervalMs)
    throw containerErrors.error('bad_spec', {
      message: `every is ${intervalMs} ms; stats takes ${shortestIntervalMs} ms to ${longestIntervalMs / 86_400_000} days.`,
      details: { field: 'every' },
    })
  requireRunning(record, 'stats')
  const what = `Watching what ${record.name} uses`
  throwIfAborted(call, what)
  const task = await liveTask(services, holder, record, call)
  let before: { readonly stats: ContainerStats; readonly at: number } | null = null
  while (task) {
    const at = performance.now()
    const usage = await task.usage(call)
    const now = services.records.find(record.id)
    if (!usage || !now || !isRunning(now) || now.pid !== record.pid) return
    const networks = readNetworkCounters(task.pid)
    const sample = { time: new Date(), ...usage, networks }
    const rates: ContainerRates | null = before && ratesBetween(before.stats, sample, (at - before.at) / 1000)
    before = { stats: { ...sample, rates }, at }
    yield before.stats
    try {
      // From one to the next, whatever the reader does in between.
      await sleep(Math.max(0, at + intervalMs - performance.now()), undefined, { signal: call?.signal })
    } catch (error) {
      throw call?.signal?.aborted ? abortError(call.signal, what) : error
    }
  }
}

function ratesBetween(before: ContainerStats, now: Omit<ContainerStats, 'rates'>, seconds: number): ContainerRates {
  const perSecond = (then: number | undefined, later: number | undefined) =>
    then === undefined || later === undefined ? null : Math.max(0, later - then) / seconds
  const micros = perSecond(before.cpu?.totalMicros, now.cpu?.totalMicros)
  return {
    processors: micros === null ? null : micros / 1e6,
    readBytesPerSecond: perSecond(before.io?.readBytes, now.io?.readBytes),
    writtenBytesPerSecond: perSecond(before.io?.writtenBytes, now.io?.writtenBytes),
    receivedBytesPerSecond: perSecond(sum(before, 'received'), sum(now, 'received'))!,
    sentBytesPerSecond: perSecond(sum(before, 'sent'), sum(now, 'sent'))!,
  }
}

const sum = ({ networks }: Pick<ContainerStats, 'networks'>, way: 'received' | 'sent'): number =>
  Object.values(networks).reduce((total, counters) => total + counters[way].bytes, 0)
