import { readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../errors/host-errors.ts'
import type { RootPaths } from '../state/paths.ts'

/** Where an owner makes empty mount points while it reads trees. */
export const scratchOf = (paths: RootPaths, owner: string): string => paths.workMount(`trees-${owner}`)

/** Removes what a dead owner left there: directories only, since nothing else is ever made in it. */
export function sweepScratch(paths: RootPaths, owner: string): void {
  removeEmpty(scratchOf(paths, owner))
}

function removeEmpty(directory: string): void {
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) removeEmpty(join(directory, entry.name))
    rmdirSync(directory)
  } catch (error) {
    // Gone already, or not ours to remove.
    if (!['ENOENT', 'ENOTEMPTY', 'EBUSY'].includes(errnoOf(error) ?? '')) throw error
  }
}
