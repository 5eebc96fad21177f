import { callErrors } from '../errors/call-errors.ts'

type Parsers = Readonly<Record<string, (value: unknown, key: string) => unknown>>

/** The type an option table parses to; every key is optional. */
export type OptionShape<P extends Parsers> = { readonly [K in keyof P]?: ReturnType<P[K]> }

/**
 * Checks an option object against a table of parsers and refuses unknown keys by name with the allowed ones.
 * `undefined` counts as absent.
 *
 * @typeParam P the table: a parser per key, which throws for a bad value
 */
export function parseOptionObject<const P extends Parsers>(
  subject: string,
  input: unknown,
  parsers: P,
): OptionShape<P> {
  if (input === undefined || input === null) return {}
  if (typeof input !== 'object' || Array.isArray(input))
    throw callErrors.error('bad_option', {
      message: `The options of ${subject} must be an object, got ${Array.isArray(input) ? 'an array' : typeof input}.`,
      subject: { type: 'options', id: subject },
    })
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(input)) {
    const parse = Object.hasOwn(parsers, key) ? parsers[key] : undefined
    if (!parse)
      throw callErrors.error('unknown_option', {
        message: `${subject} has no option "${key}". It takes: ${Object.keys(parsers).sort().join(', ') || 'none'}.`,
        subject: { type: 'options', id: subject },
        details: { key, allowed: Object.keys(parsers) },
      })
    if (value !== undefined) result[key] = parse(value, key)
  }
  return result as OptionShape<P>
}
