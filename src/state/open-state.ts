import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isEngineError } from '../errors/engine-error.ts'
import { stateErrors } from '../errors/state-errors.ts'
import { networkFileSystem } from '../host/syscall/statfs.ts'
import { Database, sqliteCode } from './database.ts'
import { kindOfFile } from './database-file.ts'
import { formatOf, migrate } from './migrations.ts'
import { RootPaths } from './paths.ts'
import { rebuilding, shareRecords } from './records-lock.ts'
import { readRootFile, writeRootFile } from './root-file.ts'
import { asidePrefix } from './set-aside.ts'

/** An open data root: where things are and what is recorded about them. */
export interface State extends Disposable {
  readonly paths: RootPaths
  readonly db: Database
  /** 12 hex digits that tell the roots of one host apart; chosen when the root is made. */
  readonly rootId: string
}

/** `rebuild`: makes empty records in place of none and marks them as unfinished; whoever calls holds `reserveRecords`. */
export type OpenMode = 'normal' | 'rebuild'

/**
 * Opens a data root, makes it when it is new, and upgrades its records when they are older.
 *
 * @throws `state.not_a_root`, `state.unusable_root`, `state.network_filesystem`, `state.newer_format`, `state.corrupt`, `state.rebuilding`,
 *   `state.full`, `state.busy`
 */
export function openState(root: string, mode: OpenMode = 'normal', networkOf = networkFileSystem): State {
  const paths = new RootPaths(resolve(root))
  prepareRoot(paths, networkOf)
  let lock: Disposable | undefined
  let db: Database | undefined
  try {
    if (mode === 'normal') lock = shareRecords(paths)
    const file = readRootFile(paths)
    if (file !== 'missing' && mode === 'normal') {
      // An empty file would pass for a new database.
      const kind = kindOfFile(paths.database)
      if (kind !== 'database') throw corrupt(paths, kind === 'missing' ? 'are gone' : 'are damaged')
    }
    db = new Database(paths.database, (error) => describeKnown(error, paths))
    const opened = db
    const rootId = mode === 'rebuild' ? startRebuild(opened, paths, file) : openRecords(opened, paths, file)
    if (typeof file === 'string') opened.transaction(() => writeRootFile(paths, { rootId }), 'process')
    return {
      paths,
      db: opened,
      rootId,
      [Symbol.dispose]() {
        opened[Symbol.dispose]()
        lock?.[Symbol.dispose]()
      },
    }
  } catch (error) {
    db?.[Symbol.dispose]()
    lock?.[Symbol.dispose]()
    throw isEngineError(error) ? error : describeSqliteFailure(error, paths)
  }
}

/** Makes the directories of a root. @throws `state.not_a_root`, `state.network_filesystem`, `state.unusable_root` */
export function prepareRoot(paths: RootPaths, networkOf = networkFileSystem): void {
  try {
    makeRoot(paths, networkOf)
  } catch (error) {
    if (isEngineError(error)) throw error
    throw stateErrors.error('unusable_root', {
      message: `The data root ${paths.root} cannot be used: ${String(error)}. Run as root or name another directory.`,
      subject: { type: 'root', id: paths.root },
      cause: error,
    })
  }
}

function openRecords(db: Database, paths: RootPaths, file: ReturnType<typeof readRootFile>): string {
  // Its log is gone with everything that was in it.
  if (file !== 'missing' && formatOf(db) === 0) throw corrupt(paths, 'are empty')
  migrate(db, paths.root)
  if (db.get('SELECT 1 FROM meta WHERE key = ?', rebuildingKey)) throw rebuilding(paths)
  const rootId = claimRootId(db)
  if (typeof file === 'object' && file.rootId !== rootId) throw corrupt(paths, 'are not those of this root')
  return rootId
}

/** Present in `meta` while records are being built anew. */
export const rebuildingKey = 'rebuilding'

function startRebuild(db: Database, paths: RootPaths, file: ReturnType<typeof readRootFile>): string {
  return db.transaction(() => {
    migrate(db, paths.root)
    const rootId = typeof file === 'object' ? file.rootId : rootIdOfContainers(paths)
    if (rootId !== null) db.run("INSERT OR IGNORE INTO meta (key, value) VALUES ('root_id', ?)", rootId)
    const { changes } = db.run("INSERT OR IGNORE INTO meta (key, value) VALUES (?, '1')", rebuildingKey)
    // Sequence numbers of events never repeat on a root: no root has had more than one event per millisecond since 1970.
    if (changes > 0) db.run("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", Date.now())
    return claimRootId(db)
  })
}

/** Detached containers run in cgroups that are named after the root. Null when none was ever started. */
function rootIdOfContainers(paths: RootPaths): string | null {
  for (const id of readdirSync(paths.containers)) {
    try {
      const found = /root\.([0-9a-f]{12})/.exec(readFileSync(join(paths.container(id), 'config.json'), 'utf8'))
      if (found?.[1]) return found[1]
    } catch {
      // Never started.
    }
  }
  return null
}

/** The records are whole again. */
export function finishRebuild(db: Database): void {
  db.transaction(() => db.run('DELETE FROM meta WHERE key = ?', rebuildingKey))
}

function makeRoot(paths: RootPaths, networkOf: (path: string) => string | null): void {
  const network = networkOf(existingPart(paths.root))
  if (network !== null)
    throw stateErrors.error('network_filesystem', {
      message: `The data root ${paths.root} lies on a network file system (${network}), whose locks and renames are not reliable enough. Name a directory on a local disk.`,
      subject: { type: 'root', id: paths.root },
      details: { fileSystem: network },
    })
  mkdirSync(paths.root, { recursive: true, mode: 0o700 })
  if (!statSync(paths.root).isDirectory()) throw new Error('it is not a directory')
  const entries = readdirSync(paths.root)
  const isOurs = (name: string) => ourNames.has(name) || name.startsWith(asidePrefix) || name.startsWith('state.db-')
  const isRoot = entries.includes('state.db') || entries.includes('root.json')
  if (!isRoot && entries.some((name) => !isOurs(name)))
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

/** The path itself, or the first directory above it that is there. */
function existingPart(path: string): string {
  let found = path
  while (!existsSync(found)) found = dirname(found)
  return found
}

// What an opening that was killed half-way may have left.
const ourNames = new Set([
  'content',
  'containers',
  'run',
  'tmp',
  'storage',
  'drivers',
  'volumes',
  'networks.json',
  'lost+found',
])

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

/** Gives SQLite's failures their place in our kinds; what else keeps records from being opened is an unusable root. */
function describeSqliteFailure(error: unknown, paths: RootPaths): unknown {
  if (sqliteCode(error) === undefined) return error
  const known = describeKnown(error, paths)
  if (known !== error) return known
  return stateErrors.error('unusable_root', {
    message: `The records in ${paths.database} cannot be used: ${String(error)}.`,
    subject: { type: 'root', id: paths.root },
    cause: error,
  })
}

/** Damage, a full disk and somebody else's lock; the error itself when it is none of them. */
function describeKnown(error: unknown, paths: RootPaths): unknown {
  if (isEngineError(error)) return error
  const primary = (sqliteCode(error) ?? 0) & 0xff
  const subject = { type: 'root', id: paths.root }
  // SQLITE_CORRUPT, SQLITE_NOTADB
  if (primary === 11 || primary === 26) return corrupt(paths, 'are damaged', error)
  // SQLITE_FULL
  if (primary === 13)
    return stateErrors.error('full', {
      message: `The disk of ${paths.root} is full: the records cannot grow. Free space and try again.`,
      subject,
      cause: error,
    })
  // SQLITE_BUSY
  if (primary === 5)
    return stateErrors.error('busy', {
      message: `Another process kept the records of ${paths.root} locked. Try again.`,
      subject,
      retryable: true,
      cause: error,
    })
  return error
}

function corrupt(paths: RootPaths, what: string, cause?: unknown) {
  return stateErrors.error('corrupt', {
    message: `The records in ${paths.database} ${what}. Run \`tscontainer check --repair --root ${paths.root}\`: it keeps the damaged file and builds the records anew from what is on disk.`,
    subject: { type: 'root', id: paths.root },
    ...(cause === undefined ? {} : { cause }),
  })
}
