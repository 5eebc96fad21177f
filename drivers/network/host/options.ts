import { parseOptionObject } from 'tscontainer/driver-kit'

export type HostOptions = Readonly<Record<string, never>>

/** The driver has no options; anything given is refused by name. */
export function parseHostOptions(input: unknown): HostOptions {
  return parseOptionObject('the network driver host', input, {})
}
