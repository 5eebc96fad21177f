import { parseOptionObject } from '../driver-kit/options.ts'
import { runtimeErrors } from '../errors/runtime-errors.ts'
import { capabilityNames } from '../host/kernel-features.ts'
import { defaultCapabilities } from './process-defaults.ts'

/** What the programs of a container may do to the machine. By default what Docker lets them. */
export interface Security {
  /**
   * As `docker run --privileged`: every capability that this process has, every device of the host, no filter of system
   * calls, nothing hidden, and /sys to write to. Whoever is root in it is root on the machine. Default false.
   */
  readonly privileged?: boolean
  /** Capabilities besides Docker's fourteen: `NET_ADMIN`, with or without `CAP_`, or `ALL`. */
  readonly capAdd?: readonly string[]
  /** Capabilities that are taken away; `ALL` leaves those of `capAdd` alone. */
  readonly capDrop?: readonly string[]
  /** Programs get no more rights by setuid or file capabilities than they have. Default false. */
  readonly noNewPrivileges?: boolean
  /** The filter of system calls: Docker's, which follows the capabilities, or none. Default `default`. */
  readonly seccomp?: 'default' | 'unconfined'
  /** Further paths that the container sees as empty. */
  readonly mask?: readonly string[]
  /** Paths that it sees or writes to although Docker hides them or makes them read-only, or `all` of those. */
  readonly unmask?: readonly string[] | 'all'
}

/** Security options, checked. */
export interface StoredSecurity {
  readonly privileged: boolean
  /** `CAP_...`, or `ALL`. */
  readonly capAdd: readonly string[]
  readonly capDrop: readonly string[]
  readonly noNewPrivileges: boolean
  readonly seccomp: 'default' | 'unconfined'
  readonly mask: readonly string[]
  readonly unmask: readonly string[] | 'all'
}

const all = 'ALL'

/**
 * The capabilities of a container by Docker's rules: `ALL` dropped leaves what is added, `ALL` added leaves out what is
 * dropped, else what is added counts more. `available` are those that this process can give.
 *
 * @throws runtime.unsupported_capability
 */
export function resolveCapabilities(
  { privileged, capAdd, capDrop }: Pick<StoredSecurity, 'privileged' | 'capAdd' | 'capDrop'>,
  available: readonly string[],
): readonly string[] {
  if (privileged) return available
  const lacking = capAdd.find((name) => name !== all && !available.includes(name))
  if (lacking !== undefined)
    throw runtimeErrors.error('unsupported_capability', {
      message: `${lacking} cannot be given to a container: this process does not have it.`,
      subject: { type: 'capability', id: lacking },
      details: { available },
    })
  const added = capAdd.includes(all) ? available : capAdd
  if (capDrop.includes(all)) return inOrder(added, available)
  const dropped = (name: string) => capDrop.includes(name)
  if (capAdd.includes(all)) return available.filter((name) => !dropped(name))
  return inOrder([...defaultCapabilities.filter((name) => !dropped(name)), ...added], available)
}

const inOrder = (names: readonly string[], available: readonly string[]): readonly string[] =>
  available.filter((name) => names.includes(name))

/** The name as the kernel's documents have it. @throws runtime.bad_capability */
export function parseCapability(text: string): string {
  const upper = text.toUpperCase()
  if (upper === all) return all
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`
  if (capabilityNames.includes(name)) return name
  throw runtimeErrors.error('bad_capability', {
    message: `There is no capability ${JSON.stringify(text)}. Known are: ${capabilityNames.join(', ')}, and ALL.`,
    subject: { type: 'capability', id: text },
  })
}

/** Docker's paths without those of `unmask`, and those of `mask`. */
export function restrictPaths(
  defaults: readonly string[],
  { mask, unmask }: { readonly mask: readonly string[]; readonly unmask: StoredSecurity['unmask'] },
): readonly string[] {
  const left = unmask === 'all' ? [] : defaults.filter((path) => !unmask.includes(path))
  return [...new Set([...left, ...mask])]
}

/** Checks the options. @throws runtime.bad_capability, runtime.bad_security */
export function parseSecurity(security: Security): StoredSecurity {
  const options = parseOptionObject('security', security, {
    privileged: flag,
    capAdd: capabilities,
    capDrop: capabilities,
    noNewPrivileges: flag,
    seccomp: (value, key) => {
      if (value === 'default' || value === 'unconfined') return value
      throw bad(key, "takes 'default' or 'unconfined'", value)
    },
    mask: paths,
    unmask: (value, key) => (value === 'all' ? value : paths(value, key)),
  })
  const { privileged = false, capAdd = [], capDrop = [], noNewPrivileges = false, mask = [] } = options
  if (privileged && capDrop.length > 0) throw bad('capDrop', 'takes nothing beside privileged', capDrop)
  const { seccomp = privileged ? 'unconfined' : 'default', unmask = privileged ? 'all' : [] } = options
  return { privileged, capAdd, capDrop, noNewPrivileges, seccomp, mask, unmask }
}

function flag(value: unknown, key: string): boolean {
  if (typeof value === 'boolean') return value
  throw bad(key, 'takes true or false', value)
}

function capabilities(value: unknown, key: string): readonly string[] {
  if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value.map(parseCapability)
  throw bad(key, 'takes a list of names', value)
}

function paths(value: unknown, key: string): readonly string[] {
  if (Array.isArray(value) && value.every((path) => typeof path === 'string' && /^\/[^\0]*$/.test(path))) return value
  throw bad(key, 'takes a list of absolute paths', value)
}

const bad = (key: string, wanted: string, value: unknown) =>
  runtimeErrors.error('bad_security', {
    message: `The security option "${key}" ${wanted}; got ${JSON.stringify(value) ?? String(value)}.`,
    subject: { type: 'option', id: key },
    details: { key },
  })
