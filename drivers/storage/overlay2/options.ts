import { callErrors, parseOptionObject } from 'tscontainer/driver-kit'

/** Options of `overlay2`. */
export interface Overlay2Options {
  /**
   * Whether overlay keeps its marks in `user.overlay.*` instead of `trusted.overlay.*`, as it must inside a user
   * namespace. Default: found out by trying.
   */
  readonly userXattrs: boolean | null
  /** Whether drafts that need not survive power loss are mounted with the option `volatile`. Default true. */
  readonly volatile: boolean
}

function boolean(value: unknown, key: string): boolean {
  if (typeof value === 'boolean') return value
  if (value === 'true' || value === 'false') return value === 'true'
  throw callErrors.error('bad_option', {
    message: `The option "${key}" of storage driver overlay2 must be true or false, got ${JSON.stringify(value)}.`,
    subject: { type: 'options', id: 'storage driver overlay2' },
    details: { key },
  })
}

export function parseOptions(input: unknown): Overlay2Options {
  const given = parseOptionObject('storage driver overlay2', input, { userXattrs: boolean, volatile: boolean })
  return { userXattrs: given.userXattrs ?? null, volatile: given.volatile ?? true }
}
