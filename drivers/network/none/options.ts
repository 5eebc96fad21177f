import { parseOptionObject } from 'tscontainer/driver-kit'

export type NoneOptions = Readonly<Record<string, never>>

/** The driver has no options; anything given is refused by name. */
export function parseNoneOptions(input: unknown): NoneOptions {
  return parseOptionObject('the network driver none', input, {})
}
