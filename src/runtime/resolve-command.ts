import { runtimeErrors } from '../errors/runtime-errors.ts'
import type { ImageRunConfig } from '../oci/image-config.ts'

export interface CommandOverrides {
  /** Replaces the image's Cmd. */
  readonly command?: readonly string[] | undefined
  /** Replaces the image's Entrypoint and drops its Cmd; null or [] for none. */
  readonly entrypoint?: readonly string[] | null | undefined
}

export interface ResolvedCommand {
  readonly argv: readonly string[]
  /** How many of the first words are the entrypoint. */
  readonly entrypointLength: number
}

/**
 * What to run, by Docker's rules: entrypoint, then command; an entrypoint given here drops the image's command.
 * Null when nobody says what to run.
 *
 * @throws runtime.bad_command for an empty program name or a NUL byte
 */
export function resolveCommand(image: ImageRunConfig | undefined, overrides: CommandOverrides): ResolvedCommand | null {
  const ownEntrypoint = overrides.entrypoint !== undefined
  const entrypoint = (ownEntrypoint ? overrides.entrypoint : image?.Entrypoint) ?? []
  const command = overrides.command ?? (ownEntrypoint ? [] : (image?.Cmd ?? []))
  const argv = [...entrypoint, ...command]
  if (argv.length === 0) return null
  if (argv[0] === '') throw runtimeErrors.error('bad_command', { message: 'The name of the program to run is empty.' })
  const bad = argv.findIndex((word) => typeof word !== 'string' || word.includes('\0'))
  if (bad >= 0)
    throw runtimeErrors.error('bad_command', {
      message: `Word ${bad + 1} of the command is no text, or holds a NUL byte.`,
    })
  return { argv, entrypointLength: entrypoint.length }
}
