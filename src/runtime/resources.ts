import { runtimeErrors } from '../errors/runtime-errors.ts'
import { mostPids } from '../host/cgroup/most-pids.ts'
import type { RuntimeResources } from '../oci/runtime-spec.ts'
import { parseBytes } from './byte-size.ts'

/** Limits of a container. Sizes are bytes, or text such as `512m` (powers of 1024). Nothing is limited by default. */
export interface Resources {
  /** Memory, at least 6 MiB. */
  readonly memory?: number | string
  /** Memory and swap together, or -1 for unlimited swap. Default: twice the memory, where swap can be limited. */
  readonly memorySwap?: number | string
  /** What is left to the container when memory runs short on the machine; below `memory`. */
  readonly memoryReservation?: number | string
  /** Processors, e.g. 1.5. Not with `cpuQuota` or `cpuPeriod`. */
  readonly cpus?: number
  /** Share of busy processors, 2 to 262144; 1024 is one container's usual weight. */
  readonly cpuShares?: number
  /** Microseconds of processor time in each period; at least 1000. */
  readonly cpuQuota?: number
  /** Microseconds, 1000 to 1000000. */
  readonly cpuPeriod?: number
  /** Processors it may use: `0-2,7`. */
  readonly cpusetCpus?: string
  /** Memory nodes it may use: `0`. */
  readonly cpusetMems?: string
  /** Processes and threads; -1 for no limit. */
  readonly pids?: number
  /** Weight of its disk traffic, 10 to 1000. */
  readonly ioWeight?: number
}

/** What the machine can limit; fields of `KernelFeatures` fit. */
export interface ResourceSupport {
  /** Controllers that containers can be limited with: `memory`, `cpu`, `cpuset`, `pids`, `io` or `blkio`. */
  readonly controllers: readonly string[]
  /** Whether swap can be limited. */
  readonly swap: boolean
  readonly processors: number
}

const smallestMemory = 6 * 1024 * 1024

/**
 * Checks the limits and says them in the words of config.json, which are those of cgroup v1; runtimes translate for v2.
 *
 * @throws runtime.bad_resource, runtime.unsupported_resource
 */
export function resolveResources(resources: Resources, support: ResourceSupport): RuntimeResources {
  checkResources(resources)
  const memory = memoryLimits(resources, support)
  const cpu = cpuLimits(resources, support)
  if (resources.pids !== undefined) need(support, 'pids', 'pids')
  if (resources.ioWeight !== undefined) need(support, 'ioWeight', 'io', 'blkio')
  return {
    ...(memory && { memory }),
    ...(cpu && { cpu }),
    ...(resources.pids !== undefined && { pids: { limit: resources.pids === -1 ? mostPids : resources.pids } }),
    ...(resources.ioWeight !== undefined && { blockIO: { weight: resources.ioWeight } }),
  }
}

/**
 * Checks what can be checked without a machine.
 *
 * @throws runtime.bad_resource
 */
export function checkResources(resources: Resources): void {
  const known = new Set<string>(resourceNames)
  for (const key of Object.keys(resources))
    if (!known.has(key)) throw bad(key, `There is no resource "${key}". Known are: ${resourceNames.join(', ')}.`)
  const memory = bytes('memory', resources.memory)
  if (memory !== undefined && memory < smallestMemory) throw bad('memory', 'memory must be at least 6 MiB (6m).')
  const swap = resources.memorySwap === -1 ? undefined : bytes('memorySwap', resources.memorySwap)
  if (resources.memorySwap !== undefined && memory === undefined)
    throw bad('memorySwap', 'memorySwap needs memory: it is memory and swap together.')
  if (swap !== undefined && memory !== undefined && swap < memory)
    throw bad(
      'memorySwap',
      `memorySwap (${swap}) is memory and swap together, so it cannot be below memory (${memory}).`,
    )
  const reservation = bytes('memoryReservation', resources.memoryReservation)
  if (reservation !== undefined && memory !== undefined && reservation > memory)
    throw bad('memoryReservation', `memoryReservation (${reservation}) cannot be above memory (${memory}).`)
  if (resources.cpus !== undefined && !(Number.isFinite(resources.cpus) && resources.cpus >= 0.01))
    throw bad('cpus', `cpus must be a number from 0.01 on, got ${resources.cpus}.`)
  if (resources.cpus !== undefined && (resources.cpuQuota !== undefined || resources.cpuPeriod !== undefined))
    throw bad('cpus', 'cpus cannot be combined with cpuQuota or cpuPeriod: it is short for them.')
  whole('cpuShares', resources.cpuShares, 2, 262_144)
  whole('cpuQuota', resources.cpuQuota, 1000, Number.MAX_SAFE_INTEGER)
  whole('cpuPeriod', resources.cpuPeriod, 1000, 1_000_000)
  whole('ioWeight', resources.ioWeight, 10, 1000)
  if (resources.pids !== -1) whole('pids', resources.pids, 1, mostPids)
  list('cpusetCpus', resources.cpusetCpus)
  list('cpusetMems', resources.cpusetMems)
}

const resourceNames = [
  'memory',
  'memorySwap',
  'memoryReservation',
  'cpus',
  'cpuShares',
  'cpuQuota',
  'cpuPeriod',
  'cpusetCpus',
  'cpusetMems',
  'pids',
  'ioWeight',
] as const satisfies readonly (keyof Resources)[]

function memoryLimits(resources: Resources, support: ResourceSupport): RuntimeResources['memory'] | null {
  const limit = bytes('memory', resources.memory)
  const reservation = bytes('memoryReservation', resources.memoryReservation)
  if (limit === undefined && reservation === undefined) return null
  need(support, limit === undefined ? 'memoryReservation' : 'memory', 'memory')
  if (resources.memorySwap !== undefined && !support.swap)
    throw unsupported(
      'memorySwap',
      'This kernel cannot limit swap. Boot it with swapaccount=1, or leave memorySwap out.',
    )
  const wanted = resources.memorySwap === -1 ? -1 : bytes('memorySwap', resources.memorySwap)
  const swap = wanted ?? (limit !== undefined && support.swap ? limit * 2 : undefined)
  return {
    ...(limit !== undefined && { limit }),
    ...(reservation !== undefined && { reservation }),
    ...(swap !== undefined && { swap }),
  }
}

function cpuLimits(resources: Resources, support: ResourceSupport): RuntimeResources['cpu'] | null {
  const { cpus, cpuShares, cpuQuota, cpuPeriod, cpusetCpus, cpusetMems } = resources
  if (cpus !== undefined && cpus > support.processors)
    throw bad('cpus', `cpus is ${cpus}, but this machine has ${support.processors} processors.`)
  for (const key of ['cpus', 'cpuShares', 'cpuQuota', 'cpuPeriod'] as const)
    if (resources[key] !== undefined) need(support, key, 'cpu')
  for (const key of ['cpusetCpus', 'cpusetMems'] as const)
    if (resources[key] !== undefined) need(support, key, 'cpuset')
  const period = cpus === undefined ? cpuPeriod : 100_000
  const quota = cpus === undefined ? cpuQuota : Math.max(1000, Math.round(cpus * 100_000))
  const cpu = {
    ...(cpuShares !== undefined && { shares: cpuShares }),
    ...(quota !== undefined && { quota }),
    ...(period !== undefined && { period }),
    ...(cpusetCpus !== undefined && { cpus: cpusetCpus }),
    ...(cpusetMems !== undefined && { mems: cpusetMems }),
  }
  return Object.keys(cpu).length > 0 ? cpu : null
}

function bytes(key: string, value: number | string | undefined): number | undefined {
  if (value === undefined) return undefined
  const size = parseBytes(value)
  if (size === null)
    throw bad(key, `${key} must be a number of bytes or text such as "512m", got ${JSON.stringify(value)}.`)
  return size
}

function whole(key: string, value: number | undefined, min: number, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return
  throw bad(key, `${key} must be a whole number from ${min} to ${max}, got ${JSON.stringify(value)}.`)
}

function list(key: string, value: string | undefined): void {
  if (value === undefined || (typeof value === 'string' && /^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(value))) return
  throw bad(key, `${key} must be a list such as "0-2,7", got ${JSON.stringify(value)}.`)
}

function need(support: ResourceSupport, key: string, ...controllers: readonly string[]): void {
  if (controllers.some((name) => support.controllers.includes(name))) return
  throw unsupported(
    key,
    `${key} needs the cgroup controller ${controllers.join(' or ')}, which this machine does not offer.`,
  )
}

const bad = (key: string, message: string) =>
  runtimeErrors.error('bad_resource', { message, subject: { type: 'resource', id: key }, details: { key } })

const unsupported = (key: string, message: string) =>
  runtimeErrors.error('unsupported_resource', { message, subject: { type: 'resource', id: key }, details: { key } })
