import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { isEngineError } from '../errors/engine-error.ts'
import { stateErrors } from '../errors/state-errors.ts'
import { Database } from './database.ts'
import { migrate } from './migrations.ts'
import { RootPaths } from './paths.ts'

/** An open data root: where things are and what is recorded about them. */
export interface State extends Disposable {
  readonly paths: RootPaths
  readonly db: Database
  /** 12 hex digits that tell the roots of one host apart; chosen when the root is made. */
  readonly rootId: string
}

/**
 * Opens a data root, makes it when it is new, and upgrades its records when they are older.
 *
 * @throws `state.not_a_root`, `state.unusable_root`, `state.newer_format`, `state.corrupt`, `state.full`, `state.busy`
 */
export function openState(root: string): State {
  const paths = new RootPaths(resolve(root))
  const subject = { type: 'root', id: paths.root }
  try {
    makeRoot(paths)
  } catch (error) {
    if (isEngineError(error)) throw error
    throw stateErrors.error('unusable_root', {
      message: `The data root ${paths.root} cannot be used: ${String(error)}. Run as root or name another directory.`,
      subject,
      cause: error,
    })
  }
  let db: Database | undefined
  try {
    db = new Database(paths.database)
    migrate(db, paths.root)
    const rootId = claimRootId(db)
    const opened = db
    return { paths, db: opened, rootId, [Symbol.dispose]: () => opened[Symbol.dispose]() }
  } catch (error) {
    db?.[Symbol.dispose]()
    throw isEngineError(error) ? error : describeSqliteFailure(error, paths)
  }
}

function makeRoot(paths: RootPaths): void {
  mkdirSync(paths.root, { recursive: true, mode: 0o700 })
  if (!statSync(paths.root).isDirectory()) throw new Error('it is not a directory')
  const entries = readdirSync(paths.root)
  if (entries.length > 0 && !entries.includes('state.db') && entries.some((name) => !ourNames.has(name)))
    throw stateErrors.error('not_a_root', {
      message: `${paths.root} holds other files (${entries.slice(0, 3).join(', ')}) and no state.db, so it is not a data root. Name an empty or new directory.`,
      subject: { type: 'root', id: paths.root },
    })
  for (const directory of [
    paths.content,
    paths.containers,
    paths.run,
    paths.owners,
    paths.containerRoot,
    paths.temporary,
  ])
    mkdirSync(directory, { recursive: true, mode: 0o700 })
}

// What an opening that was killed half-way may have left.
const ourNames = new Set(['content', 'containers', 'run', 'tmp', 'storage', 'drivers', 'volumes', 'lost+found'])

function claimRootId(db: Database): string {
  const read = () => db.get<{ value: string }>("SELECT value FROM meta WHERE key = 'root_id'")?.value
  return (
    read() ??
    db.transaction(() => {
      db.run("INSERT OR IGNORE INTO meta (key, value) VALUES ('root_id', ?)", randomBytes(6).toString('hex'))
      return read()!
    })
  )
}

/** Gives SQLite's failures their place in our kinds. Result codes: https://sqlite.org/rescode.html */
export function describeSqliteFailure(error: unknown, paths: RootPaths): unknown {
  const code = (error as { errcode?: number }).errcode
  if (code === undefined) return error
  const subject = { type: 'root', id: paths.root }
  const primary = code & 0xff
  if (primary === 11 || primary === 26)
    return stateErrors.error('corrupt', {
      message: `The records in ${paths.database} are damaged. Move the file away and open the root again; images must then be loaded anew.`,
      subject,
      cause: error,
    })
  if (primary === 13)
    return stateErrors.error('full', {
      message: `The disk of ${paths.root} is full: the records cannot grow. Free space and try again.`,
      subject,
      cause: error,
    })
  if (primary === 5)
    return stateErrors.error('busy', {
      message: `Another process kept the records of ${paths.root} locked. Try again.`,
      subject,
      retryable: true,
      cause: error,
    })
  return stateErrors.error('unusable_root', {
    message: `The records in ${paths.database} cannot be used: ${String(error)}.`,
    subject,
    cause: error,
  })
}
