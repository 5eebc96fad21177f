import { readFileSync } from 'node:fs'
import { errnoOf } from '../errors/host-errors.ts'
import { replaceFile } from '../host/replace-file.ts'
import type { RootPaths } from './paths.ts'

/**
 * `root.json`: written once, when the records of a new root are complete. From then on an empty or missing state.db is
 * damage, not a new root; and the root keeps its id when the records are built anew.
 */
export interface RootFile {
  readonly rootId: string
}

/** `damaged`: it is there and says nothing. */
export function readRootFile(paths: RootPaths): RootFile | 'missing' | 'damaged' {
  let text: string
  try {
    text = readFileSync(paths.rootFile, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'missing'
    throw error
  }
  try {
    const { rootId } = JSON.parse(text) as Partial<RootFile>
    if (typeof rootId === 'string' && /^[0-9a-f]{12}$/.test(rootId)) return { rootId }
  } catch {
    // Not JSON.
  }
  return 'damaged'
}

export function writeRootFile(paths: RootPaths, file: RootFile): void {
  replaceFile(paths.rootFile, JSON.stringify(file), { synced: true })
}
