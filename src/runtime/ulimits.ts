import { runtimeErrors } from '../errors/runtime-errors.ts'
import { type RuntimeRlimit, unlimitedRlimit } from '../oci/runtime-spec.ts'
import type { HostLimits } from './host-limits.ts'

/** Limits of a container's processes by their names in setrlimit(2), lower case without `RLIMIT_`. */
export type Ulimits = Readonly<Partial<Record<UlimitName, Ulimit>>>

/** One number for both limits, or both; -1 is "unlimited". */
export type Ulimit = number | { readonly soft: number; readonly hard: number }

export const ulimitNames = [
  'as',
  'core',
  'cpu',
  'data',
  'fsize',
  'locks',
  'memlock',
  'msgqueue',
  'nice',
  'nofile',
  'nproc',
  'rss',
  'rtprio',
  'rttime',
  'sigpending',
  'stack',
] as const

/** Names as in getrlimit(2), lower case and without `RLIMIT_`. */
export type UlimitName = (typeof ulimitNames)[number]

// A container must not depend on the limits of the process that happens to start it: these are what a service of a
// stock systemd machine gets.
const defaults: Readonly<Partial<Record<UlimitName, { soft: number; hard: number }>>> = {
  as: { soft: -1, hard: -1 },
  core: { soft: -1, hard: -1 },
  cpu: { soft: -1, hard: -1 },
  data: { soft: -1, hard: -1 },
  fsize: { soft: -1, hard: -1 },
  memlock: { soft: 8 << 20, hard: 8 << 20 },
  nofile: { soft: 1024, hard: 524_288 },
  nproc: { soft: -1, hard: -1 },
  rss: { soft: -1, hard: -1 },
  stack: { soft: 8 << 20, hard: -1 },
}

/**
 * Checks limits that a user gave.
 *
 * @throws runtime.bad_ulimit
 */
export function checkUlimits(ulimits: Ulimits): void {
  for (const [name, limit] of Object.entries(ulimits)) {
    if (limit === undefined) continue
    if (!ulimitNames.includes(name as UlimitName))
      throw badUlimit(name, `There is no ulimit "${name}". Known are: ${ulimitNames.join(', ')}.`)
    const isPair = typeof limit === 'object' && limit !== null
    const soft: unknown = isPair ? limit.soft : limit
    const hard: unknown = isPair ? limit.hard : limit
    if (!isLimit(soft) || !isLimit(hard))
      throw badUlimit(
        name,
        `The ulimit ${name} takes whole numbers, or -1 for unlimited; got ${JSON.stringify(limit)}.`,
      )
    if (hard !== -1 && (soft === -1 || soft > hard))
      throw badUlimit(name, `The soft limit of ${name} (${soft}) is above its hard limit (${hard}).`)
  }
}

const isLimit = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= -1

const badUlimit = (name: string, message: string) =>
  runtimeErrors.error('bad_ulimit', { message, subject: { type: 'ulimit', id: name } })

/**
 * All limits of a container: the user's over the defaults, none inherited where we have an opinion. Defaults are lowered
 * to what this process may give.
 *
 * @throws runtime.bad_ulimit; runtime.unsupported_ulimit for a limit that this process may not give
 */
export function resolveRlimits(ulimits: Ulimits, host: HostLimits): readonly RuntimeRlimit[] {
  checkUlimits(ulimits)
  return ulimitNames.flatMap((name) => {
    const wanted = ulimits[name] ?? defaults[name]
    if (wanted === undefined) return []
    const { soft, hard } = typeof wanted === 'number' ? { soft: wanted, hard: wanted } : wanted
    const ceiling = ceilingOf(name, host)
    if (ulimits[name] !== undefined && above(hard, ceiling))
      throw runtimeErrors.error('unsupported_ulimit', {
        message: `The ulimit ${name} of ${hard} is above the ${ceiling} that this process may give. Lower it, or raise the limit of the process.`,
        subject: { type: 'ulimit', id: name },
        details: { ceiling },
      })
    return [{ type: `RLIMIT_${name.toUpperCase()}`, soft: limit(soft, ceiling), hard: limit(hard, ceiling) }]
  })
}

/** The largest hard limit this process may give; -1 for any. */
function ceilingOf(name: UlimitName, host: HostLimits): number {
  const own = host.mayRaise ? -1 : (host.hard[name] ?? -1)
  return name === 'nofile' && above(own, host.openFiles) ? host.openFiles : own
}

const above = (value: number, ceiling: number) => ceiling !== -1 && (value === -1 || value > ceiling)

const limit = (value: number, ceiling: number): number => {
  const lowered = above(value, ceiling) ? ceiling : value
  return lowered === -1 ? unlimitedRlimit : lowered
}
