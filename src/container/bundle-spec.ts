import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RuntimeSpec } from '../oci/runtime-spec.ts'

/** The config.json of the last start; null when there was none, or when it was cut before the runtime could read it. */
export function readBundleSpec(directory: string): RuntimeSpec | null {
  try {
    return JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as RuntimeSpec
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return null
    throw error
  }
}
