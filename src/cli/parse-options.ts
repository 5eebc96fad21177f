import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { UsageError } from './usage-error.ts'

/** Options, and what follows the first argument that is none: a command's own options belong to the command. */
export function parseOptions<const Options extends ParseArgsOptionsConfig>(args: readonly string[], options: Options) {
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true })
  const first = tokens.find((token) => token.kind !== 'option')
  const end = first?.index ?? args.length
  try {
    const { values } = parseArgs({ args: args.slice(0, end), options, strict: true })
    return { values, rest: args.slice(first?.kind === 'option-terminator' ? end + 1 : end) }
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** Refuses arguments where none belong. */
export function refuseRest(rest: readonly string[]): void {
  if (rest.length > 0) throw new UsageError(`unexpected argument: ${rest[0]}`)
}

/** A number as text. */
export function parseNumber(name: string, text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new UsageError(`--${name} takes a number, not "${text}"`)
  return value
}
