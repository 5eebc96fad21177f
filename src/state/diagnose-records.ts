import { Database } from './database.ts'
import { kindOfFile } from './database-file.ts'
import { currentFormat, formatOf } from './migrations.ts'
import { rebuildingKey } from './open-state.ts'
import type { RootPaths } from './paths.ts'
import { readRootFile } from './root-file.ts'

/**
 * What is the matter with a root's records. `good` says that they can be read, not that they are right; a root that was
 * never made, and records of a newer format, pass for good. `unfinished`: building them anew was interrupted.
 */
export function diagnoseRecords(paths: RootPaths): 'good' | 'damaged' | 'unfinished' {
  const made = readRootFile(paths) !== 'missing'
  const file = kindOfFile(paths.database)
  if (file === 'missing' || file === 'empty') return made ? 'damaged' : 'good'
  if (file === 'other') return 'damaged'
  try {
    using db = new Database(paths.database)
    const format = formatOf(db)
    if (format === 0) return made ? 'damaged' : 'good'
    if (format > currentFormat) return 'good'
    if (describeDamage(db).length > 0) return 'damaged'
    return db.get('SELECT 1 FROM meta WHERE key = ?', rebuildingKey) ? 'unfinished' : 'good'
  } catch (error) {
    if ((error as { errcode?: number }).errcode === undefined) throw error
    return 'damaged'
  }
}

/** What SQLite finds wrong with its file; empty when nothing is. Cost: reads the whole file. */
export function describeDamage(db: Database): readonly string[] {
  return db
    .all<{ integrity_check: string }>('PRAGMA integrity_check(10)')
    .map((row) => row.integrity_check)
    .filter((text) => text !== 'ok')
}
