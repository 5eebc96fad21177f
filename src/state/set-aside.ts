import { readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../errors/host-errors.ts'
import type { RootPaths } from './paths.ts'

/** How names of databases that were set aside begin. */
export const asidePrefix = 'state.damaged-'

/**
 * Gives the database a name of its own, and gives that back; null when there is none. Nothing is deleted. The log goes
 * first: SQLite would replay one that it finds beside a new database.
 */
export function setRecordsAside(paths: RootPaths): string | null {
  const target = join(paths.root, interrupted(paths.root) ?? `${asidePrefix}${timestamp()}.db`)
  for (const suffix of ['-shm', '-wal']) move(paths.database + suffix, target + suffix)
  return move(paths.database, target) ? target : null
}

/** The name that a killed attempt had begun to use: its log is there, its database is not. */
function interrupted(root: string): string | null {
  const names = readdirSync(root).filter((name) => name.startsWith(asidePrefix))
  const begun = names.filter((name) => /\.db-(wal|shm)$/.test(name)).map((name) => name.replace(/-(wal|shm)$/, ''))
  return begun.find((name) => !names.includes(name)) ?? null
}

const timestamp = (): string => new Date().toISOString().replaceAll(/[:.]/g, '-')

function move(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}
