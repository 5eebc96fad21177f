import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, fromNodeError } from '../../errors/host-errors.ts'
import { hierarchies } from './hierarchy.ts'
import { mostPids } from './most-pids.ts'

/** What the processes of a cgroup and of those below it have used since it was made. Null: nobody counts it here. */
export interface ResourceUsage {
  readonly cpu: {
    /** Microseconds on all processors together. */
    readonly totalMicros: number
    readonly userMicros: number
    readonly systemMicros: number
    /** Periods of the CPU limit that have passed, those in which it was reached, and how long it then let wait. */
    readonly periods: number
    readonly throttledPeriods: number
    readonly throttledMicros: number
  } | null
  readonly memory: {
    /** Now, page cache included. */
    readonly usedBytes: number
    /** The part of it that the kernel takes back first: page cache not used lately. */
    readonly inactiveFileBytes: number
    readonly swapBytes: number
    /** The most there ever was. */
    readonly peakBytes: number | null
    /** Null: none. */
    readonly limitBytes: number | null
  } | null
  /** Of block devices. */
  readonly io: {
    readonly readBytes: number
    readonly writtenBytes: number
    readonly reads: number
    readonly writes: number
  } | null
  /** Processes and threads. */
  readonly pids: { readonly current: number; readonly limit: number | null } | null
}

function pidsOf(read: ReadCgroupFile): ResourceUsage['pids'] {
  const current = numberOf(read('pids', 'pids.current'))
  if (current === null) return null
  const limit = numberOf(read('pids', 'pids.max'))
  return { current, limit: limit !== null && limit < mostPids ? limit : null }
}

/** Text of a file of the cgroup in the hierarchy of a controller; null where there is none. */
export type ReadCgroupFile = (controller: string, file: string) => string | null

/**
 * Of a cgroup path below the hierarchies' roots; null when it is gone. Source: kernel, admin-guide/cgroup-v2.rst and
 * admin-guide/cgroup-v1.
 */
export function readUsage(path: string): ResourceUsage | null {
  const { mode, used } = hierarchies()
  const read: ReadCgroupFile = (controller, file) => {
    const tree = mode === 'v2' ? used[0] : used.find((h) => h.controllers.includes(controller))
    return tree ? textOrNull(join(tree.directory, path, file)) : null
  }
  const usage = mode === 'v2' ? usageV2(read) : usageV1(read)
  return Object.values(usage).every((part) => part === null) ? null : usage
}

export function usageV2(read: ReadCgroupFile): ResourceUsage {
  const cpu = fieldsOf(read('cpu', 'cpu.stat'))
  const memory = numberOf(read('memory', 'memory.current'))
  const memoryStat = fieldsOf(read('memory', 'memory.stat'))
  const io = read('io', 'io.stat')
  return {
    cpu: cpu && {
      totalMicros: cpu('usage_usec'),
      userMicros: cpu('user_usec'),
      systemMicros: cpu('system_usec'),
      periods: cpu('nr_periods'),
      throttledPeriods: cpu('nr_throttled'),
      throttledMicros: cpu('throttled_usec'),
    },
    memory:
      memory === null
        ? null
        : {
            usedBytes: memory,
            inactiveFileBytes: memoryStat?.('inactive_file') ?? 0,
            swapBytes: numberOf(read('memory', 'memory.swap.current')) ?? 0,
            peakBytes: numberOf(read('memory', 'memory.peak')),
            limitBytes: numberOf(read('memory', 'memory.max')),
          },
    io: io === null ? null : ioV2(io),
    pids: pidsOf(read),
  }
}

/** Lines such as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`. */
function ioV2(text: string): NonNullable<ResourceUsage['io']> {
  const sum = (key: string) =>
    [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce((total, [, value]) => total + Number(value), 0)
  return { readBytes: sum('rbytes'), writtenBytes: sum('wbytes'), reads: sum('rios'), writes: sum('wios') }
}

/** v1 writes "no limit" as the largest whole number of pages. */
const noLimitV1 = 2 ** 62

export function usageV1(read: ReadCgroupFile): ResourceUsage {
  const total = numberOf(read('cpuacct', 'cpuacct.usage'))
  const cpu = fieldsOf(read('cpu', 'cpu.stat'))
  const memory = numberOf(read('memory', 'memory.usage_in_bytes'))
  const memoryStat = fieldsOf(read('memory', 'memory.stat'))
  const memoryLimit = numberOf(read('memory', 'memory.limit_in_bytes'))
  const bytes = read('blkio', 'blkio.throttle.io_service_bytes_recursive')
  const calls = read('blkio', 'blkio.throttle.io_serviced_recursive')
  const micros = (nanoseconds: number) => Math.floor(nanoseconds / 1000)
  return {
    cpu:
      total === null
        ? null
        : {
            totalMicros: micros(total),
            userMicros: micros(numberOf(read('cpuacct', 'cpuacct.usage_user')) ?? 0),
            systemMicros: micros(numberOf(read('cpuacct', 'cpuacct.usage_sys')) ?? 0),
            periods: cpu?.('nr_periods') ?? 0,
            throttledPeriods: cpu?.('nr_throttled') ?? 0,
            throttledMicros: micros(cpu?.('throttled_time') ?? 0),
          },
    memory:
      memory === null
        ? null
        : {
            usedBytes: memory,
            inactiveFileBytes: memoryStat?.('total_inactive_file') ?? 0,
            swapBytes: memoryStat?.('total_swap') ?? 0,
            peakBytes: numberOf(read('memory', 'memory.max_usage_in_bytes')),
            limitBytes: memoryLimit !== null && memoryLimit < noLimitV1 ? memoryLimit : null,
          },
    io:
      bytes === null || calls === null
        ? null
        : {
            readBytes: sumV1(bytes, 'Read'),
            writtenBytes: sumV1(bytes, 'Write'),
            reads: sumV1(calls, 'Read'),
            writes: sumV1(calls, 'Write'),
          },
    pids: pidsOf(read),
  }
}

/** Lines such as `8:0 Read 4096`, one for each device and kind. */
const sumV1 = (text: string, kind: 'Read' | 'Write'): number =>
  [...text.matchAll(new RegExp(`^\\d+:\\d+ ${kind} (\\d+)$`, 'gm'))].reduce((sum, [, value]) => sum + Number(value), 0)

/** A file with one number; null for `max`, too. */
function numberOf(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text.trim()) ? Number(text) : null
}

/** A file with lines of a name and a number; a name that it lacks is 0. */
function fieldsOf(text: string | null): ((name: string) => number) | null {
  if (text === null) return null
  return (name) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
}

function textOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    // Gone meanwhile, or the kernel has no such controller.
    if (['ENOENT', 'ENODEV', 'EOPNOTSUPP'].includes(errnoOf(error) ?? '')) return null
    throw fromNodeError(error)
  }
}
