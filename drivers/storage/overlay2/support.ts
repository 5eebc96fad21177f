import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CallOptions, type DriverContext, storageErrors } from 'tscontainer/driver-kit'
import type { OverlaySupport } from './mount-options.ts'
import type { Overlay2Options } from './options.ts'
import { tryOverlay } from './trial.ts'

/** Trying costs some milliseconds and starts the launcher, so what was found is remembered until the next boot. */
export async function findSupport(
  context: DriverContext,
  options: Overlay2Options,
  call?: CallOptions,
): Promise<OverlaySupport> {
  const known = knownSupport(context, options)
  if (known) return known
  const trial = await tryOverlay(context, options, call)
  if (!trial.works)
    throw storageErrors.error('unusable_driver', {
      message: `Overlay cannot be mounted below ${context.directory}: ${trial.reason}. Use driver vfs, or another file system.`,
      subject: { type: 'storage', id: 'overlay2' },
      cause: trial.error,
    })
  const file = fileOf(context)
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, JSON.stringify({ key: keyOf(context, options), support: trial.support }))
  renameSync(draft, file)
  return trial.support
}

/** What was found since the last boot, under the same kernel, rights, file system and options. */
export function knownSupport(context: DriverContext, options: Overlay2Options): OverlaySupport | null {
  if (!existsSync(fileOf(context))) return null
  try {
    const known = JSON.parse(readFileSync(fileOf(context), 'utf8')) as { key: string; support: OverlaySupport }
    return known.key === keyOf(context, options) ? known.support : null
  } catch {
    // Torn or foreign: tried anew.
    return null
  }
}

const fileOf = (context: DriverContext): string => join(context.runDirectory, 'overlay-support.json')

function keyOf(context: DriverContext, options: Overlay2Options): string {
  const { bootId, release, capabilities } = context.host.features()
  const namespace = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)
  // The number is that of what is looked for.
  return JSON.stringify([2, bootId, release, capabilities, namespace, statSync(context.directory).dev, options])
}
