import { posix } from 'node:path'
import { runtimeErrors } from '../errors/runtime-errors.ts'
import type { ImageRunConfig } from '../oci/image-config.ts'
import { type CommandOverrides, type ResolvedCommand, resolveCommand } from './resolve-command.ts'
import { parseSignal } from './signals.ts'

export interface RunOverrides extends CommandOverrides {
  /** Added to the image's; undefined values unset a variable of the image. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  readonly user?: string | undefined
  readonly workdir?: string | undefined
  readonly stopSignal?: string | number | undefined
}

/** How to run a container of an image: the image's configuration with the overrides applied. */
export interface RunConfig {
  /** Null when neither the image nor the overrides say what to run. */
  readonly command: ResolvedCommand | null
  /** `KEY=value`, image's first; without the engine's own variables. */
  readonly env: readonly string[]
  /** `user[:group]`, empty for root. */
  readonly user: string
  /** Absolute, normalised. */
  readonly workdir: string
  /** Number; SIGTERM unless somebody says otherwise. */
  readonly stopSignal: number
  readonly exposedPorts: readonly string[]
}

/**
 * Applies a container's overrides to its image's run configuration.
 *
 * @throws runtime.bad_command, runtime.bad_signal
 */
export function mergeRunConfig(image: ImageRunConfig | undefined, overrides: RunOverrides): RunConfig {
  return {
    command: resolveCommand(image, overrides),
    env: mergeEnv(image?.Env ?? [], overrides.env ?? {}),
    user: overrides.user ?? image?.User ?? '',
    workdir: resolveWorkdir(overrides.workdir, image?.WorkingDir),
    stopSignal: parseSignal(overrides.stopSignal ?? (image?.StopSignal || 'SIGTERM')),
    exposedPorts: Object.keys(image?.ExposedPorts ?? {}),
  }
}

/**
 * Variables of `base` (`KEY=value`, the last of several wins) with `changes` over them. Order: base's, then new ones.
 *
 * @throws runtime.bad_command for names that are empty or hold `=`, and for NUL bytes
 */
export function mergeEnv(
  base: readonly string[],
  changes: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const variables = new Map<string, string | undefined>()
  for (const entry of base) {
    const at = entry.indexOf('=')
    if (at > 0) variables.set(entry.slice(0, at), entry.slice(at + 1))
  }
  for (const [name, value] of Object.entries(changes)) {
    if (name === '' || /[=\0]/.test(name) || value?.includes('\0'))
      throw runtimeErrors.error('bad_command', {
        message: `The environment variable ${JSON.stringify(name)} has a name that is empty or holds "=", or a NUL byte.`,
      })
    variables.set(name, value)
  }
  return [...variables].flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
}

function resolveWorkdir(override: string | undefined, image: string | undefined): string {
  if (override !== undefined && !override.startsWith('/'))
    throw runtimeErrors.error('bad_command', {
      message: `The working directory ${JSON.stringify(override)} must be an absolute path in the container.`,
    })
  const workdir = override || image || '/'
  if (workdir.includes('\0'))
    throw runtimeErrors.error('bad_command', { message: 'The working directory holds a NUL byte.' })
  // Images made by old builders have relative ones; they mean the root.
  const normal = posix.normalize(posix.join('/', workdir))
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal
}
