import { stateErrors } from '../errors/state-errors.ts'
import type { Database } from './database.ts'
import { version1 } from './schema/version-1.ts'
import { version2 } from './schema/version-2.ts'

/** Step n brings format n to format n + 1. Steps are appended, never edited. */
const steps: readonly ((db: Database) => void)[] = [(db) => db.exec(version1), version2]

/** The format this version writes. */
export const currentFormat = steps.length

/** 0: there are no records yet. */
export const formatOf = (db: Database): number =>
  db.get<{ user_version: number }>('PRAGMA user_version')?.user_version ?? 0

/** Brings the records to the current format in one transaction; refuses newer ones and changes nothing then. */
export function migrate(db: Database, root: string): void {
  db.transaction(() => {
    const found = formatOf(db)
    if (found > currentFormat)
      throw stateErrors.error('newer_format', {
        message: `The data root ${root} has format ${found}; this version of tscontainer knows formats up to ${currentFormat}. Use a newer version or another root.`,
        subject: { type: 'root', id: root },
        details: { found, known: currentFormat },
      })
    for (let format = found; format < currentFormat; format++) steps[format]!(db)
    if (found < currentFormat) db.exec(`PRAGMA user_version=${currentFormat}`)
  })
}
