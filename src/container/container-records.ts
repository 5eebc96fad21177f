import type { ContainerId } from '../driver-kit/ids.ts'
import { containerErrors } from '../errors/container-errors.ts'
import type { Database, Durability, Row } from '../state/database.ts'
import type { EventJournal } from '../state/event-journal.ts'
import { parseStoredJson } from '../state/stored-json.ts'
import type { ContainerCopies } from './container-copies.ts'
import { generateContainerName } from './container-name.ts'
import type { ContainerRecord, ContainerStatus, ExitStatus, Lifetime } from './container-record.ts'
import type { StoredSpec } from './stored-spec.ts'

interface ContainerRow extends Row {
  readonly id: string
  readonly name: string
  readonly lifetime: Lifetime
  readonly owner: string | null
  readonly holder: string | null
  readonly keep: number
  readonly spec: string
  readonly status: ContainerStatus
  readonly pid: number | null
  readonly pid_start: string | null
  readonly exit_code: number | null
  readonly exit_signal: string | null
  readonly oom_killed: number
  readonly error: string | null
  readonly restart_count: number
  readonly created_at: number
  readonly started_at: number | null
  readonly finished_at: number | null
}

/** What one step of the state machine changes besides the status. */
export interface Transition {
  readonly holder?: string | null
  readonly pid?: number | null
  readonly pidStart?: string | null
  readonly exit?: ExitStatus
  readonly error?: string | null
  readonly startedAt?: Date
}

/** How durable a record of this lifetime must be. */
export const durabilityOf = (lifetime: Lifetime): Durability => (lifetime === 'detached' ? 'durable' : 'process')

const idPrefix = /^[a-f0-9]{1,64}$/

/** Whether the container outlives its process. */
const keepsCopy = ({ lifetime, keep }: ContainerRecord): boolean => lifetime === 'detached' || keep

/** The container table: the claims on ids and names, and the state machine. One writer wins; the others get a conflict. */
export class ContainerRecords {
  readonly #db: Database
  readonly #journal: EventJournal
  readonly #copies: ContainerCopies

  constructor(db: Database, journal: EventJournal, copies: ContainerCopies) {
    this.#db = db
    this.#journal = journal
    this.#copies = copies
  }

  /** Claims id and name. Without a name one is generated until it is free. */
  insert(id: ContainerId, name: string | null, lifetime: Lifetime, owner: string, spec: StoredSpec): ContainerRecord {
    for (let attempt = 0; ; attempt++) {
      const chosen = name ?? generateContainerName(attempt)
      const inserted = this.#db.transaction(
        () =>
          this.#db.run(
            `INSERT INTO containers (id, name, lifetime, owner, image, spec, status, created_at)
             VALUES (?, ?, ?, ?, ?, ?, 'creating', ?) ON CONFLICT (name) DO NOTHING`,
            id,
            chosen,
            lifetime,
            owner,
            spec.image.id,
            JSON.stringify(spec),
            Date.now(),
          ).changes,
        durabilityOf(lifetime),
      )
      if (inserted > 0) return this.require(id)
      if (name !== null) throw this.#nameTaken(name)
    }
  }

  find(id: string): ContainerRecord | null {
    const row = this.#db.get<ContainerRow>('SELECT * FROM containers WHERE id = ?', id)
    return row ? fromRow(row) : null
  }

  require(id: string): ContainerRecord {
    const record = this.find(id)
    if (!record) throw notFound(id)
    return record
  }

  /** By full id, name, or unique id prefix, in this order. Half-made containers are not found. */
  resolve(idOrName: string): ContainerRecord | null {
    const wanted = idOrName.startsWith('/') ? idOrName.slice(1) : idOrName
    const exact = this.#db.get<ContainerRow>(
      "SELECT * FROM containers WHERE (id = ? OR name = ?) AND status <> 'creating' ORDER BY id = ? DESC",
      wanted,
      wanted,
      wanted,
    )
    if (exact) return fromRow(exact)
    if (!idPrefix.test(wanted)) return null
    const rows = this.#db.all<ContainerRow>(
      "SELECT * FROM containers WHERE id >= ? AND id < ? AND status <> 'creating' LIMIT 4",
      wanted,
      `${wanted}g`,
    )
    if (rows.length > 1)
      throw containerErrors.error('ambiguous', {
        message: `${wanted} is the start of several container ids (${rows.map((row) => row.id.slice(0, 12)).join(', ')}). Give more digits.`,
        subject: { type: 'container', id: wanted },
      })
    return rows[0] ? fromRow(rows[0]) : null
  }

  /** Newest first. */
  all(): ContainerRecord[] {
    return this.#db.all<ContainerRow>('SELECT * FROM containers ORDER BY created_at DESC, rowid DESC').map(fromRow)
  }

  /**
   * Moves the container from one of `from` to `to`, with its event, in one transaction; null when it is in another
   * state: somebody else was first.
   */
  move(
    record: Pick<ContainerRecord, 'id' | 'lifetime' | 'name' | 'spec'>,
    from: readonly ContainerStatus[],
    to: ContainerStatus,
    change: Transition = {},
    event?: { readonly action: string; readonly attributes?: Readonly<Record<string, string>> },
  ): ContainerRecord | null {
    return this.#db.transaction(() => {
      const row = this.#db.get<ContainerRow>('SELECT * FROM containers WHERE id = ?', record.id)
      if (!row || !from.includes(row.status)) return null
      const exit = change.exit
      this.#db.run(
        `UPDATE containers SET status = ?, holder = ?, pid = ?, pid_start = ?, error = ?, started_at = ?,
           exit_code = ?, exit_signal = ?, oom_killed = ?, finished_at = ? WHERE id = ?`,
        to,
        pick(change.holder, row.holder),
        pick(change.pid, row.pid),
        pick(change.pidStart, row.pid_start),
        pick(change.error, row.error),
        change.startedAt ? change.startedAt.getTime() : row.started_at,
        exit ? exit.exitCode : row.exit_code,
        exit ? exit.signal : row.exit_signal,
        exit ? Number(exit.oomKilled) : row.oom_killed,
        exit ? exit.finishedAt.getTime() : row.finished_at,
        record.id,
      )
      if (event) this.#announce(record, event.action, event.attributes)
      const moved = this.require(record.id)
      if (to === 'removing') this.#copies.delete(record.id)
      else this.#copy(moved)
      return moved
    }, durabilityOf(record.lifetime))
  }

  setKeep(record: ContainerRecord): void {
    this.#db.transaction(() => {
      this.#db.run('UPDATE containers SET keep = 1 WHERE id = ?', record.id)
      const kept = this.find(record.id)
      if (kept && kept.status !== 'removing') this.#copy(kept)
    }, 'durable')
  }

  /** Records a container again as its copy says. False when it is recorded already; its name may be taken meanwhile. */
  restore(copy: ContainerRecord): boolean {
    const { exit } = copy
    return this.#db.transaction(() => {
      if (this.find(copy.id)) return false
      const taken = this.#db.get('SELECT 1 FROM containers WHERE name = ?', copy.name) !== undefined
      this.#db.run(
        `INSERT INTO containers (id, name, lifetime, keep, image, spec, status, pid, pid_start, exit_code, exit_signal,
           oom_killed, error, restart_count, created_at, started_at, finished_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        copy.id,
        taken ? `${copy.name}-${copy.id.slice(0, 12)}` : copy.name,
        copy.lifetime,
        Number(copy.keep),
        copy.spec.image.id,
        JSON.stringify(copy.spec),
        copy.status,
        copy.pid,
        copy.pidStart,
        exit?.exitCode ?? null,
        exit?.signal ?? null,
        Number(exit?.oomKilled ?? false),
        copy.error,
        copy.restartCount,
        copy.createdAt.getTime(),
        copy.startedAt?.getTime() ?? null,
        exit?.finishedAt.getTime() ?? null,
      )
      this.#copy(this.require(copy.id))
      return true
    })
  }

  /** Puts another record of a container in the place of what is recorded; owner and holder stay. */
  overwrite(record: ContainerRecord): void {
    this.#db.transaction(() => {
      const { owner, holder } = this.require(record.id)
      this.#db.run('DELETE FROM containers WHERE id = ?', record.id)
      this.restore(record)
      this.#db.run('UPDATE containers SET owner = ?, holder = ? WHERE id = ?', owner, holder, record.id)
    })
  }

  rewriteCopy(id: string): void {
    this.#db.transaction(() => {
      const record = this.find(id)
      if (record && record.status !== 'removing') this.#copy(record)
    })
  }

  /** Makes the copies say what the records say, after a kill between the two. */
  settleCopies(): void {
    for (const record of this.all()) {
      const hasCopy = record.status !== 'creating' && record.status !== 'removing'
      if (hasCopy && keepsCopy(record) && !this.#copies.isCurrent(record)) this.rewriteCopy(record.id)
    }
  }

  /** Writes the copy of a container that outlives its process. */
  #copy(record: ContainerRecord): void {
    if (keepsCopy(record)) this.#copies.write(record)
  }

  rename(record: ContainerRecord, name: string): void {
    this.#db.transaction(() => {
      if (this.#db.get('SELECT 1 FROM containers WHERE name = ? AND id <> ?', name, record.id))
        throw this.#nameTaken(name)
      this.#db.run('UPDATE containers SET name = ? WHERE id = ?', name, record.id)
      this.#announce({ ...record, name }, 'rename', { oldName: record.name })
      const renamed = this.find(record.id)
      if (renamed && renamed.status !== 'removing') this.#copy(renamed)
    }, durabilityOf(record.lifetime))
  }

  /** False when it is gone. */
  setResources(record: ContainerRecord, resources: StoredSpec['resources']): boolean {
    return this.#db.transaction(() => {
      const present = this.find(record.id)
      if (!present || present.status === 'removing') return false
      const spec: StoredSpec = { ...present.spec, resources }
      this.#db.run('UPDATE containers SET spec = ? WHERE id = ?', JSON.stringify(spec), record.id)
      this.#announce(present, 'update')
      this.#copy({ ...present, spec })
      return true
    }, durabilityOf(record.lifetime))
  }

  /** Drops the record, the last step of a removal. */
  delete(record: ContainerRecord, announce: boolean): void {
    this.#db.transaction(() => {
      const { changes } = this.#db.run('DELETE FROM containers WHERE id = ?', record.id)
      if (changes > 0 && announce) this.#announce(record, 'destroy')
    }, durabilityOf(record.lifetime))
  }

  /** Containers made from an image id. */
  usersOf(image: string): { readonly container: string; readonly running: boolean }[] {
    return this.#db
      .all<Row & { name: string; status: ContainerStatus }>(
        'SELECT name, status FROM containers WHERE image = ?',
        image,
      )
      .map(({ name, status }) => ({ container: name, running: ['starting', 'running', 'paused'].includes(status) }))
  }

  #announce(
    record: Pick<ContainerRecord, 'id' | 'name' | 'spec'>,
    action: string,
    attributes: Readonly<Record<string, string>> = {},
  ): void {
    this.#journal.append({
      type: 'container',
      action,
      subject: record.id,
      attributes: { name: record.name, image: record.spec.image.name, ...attributes },
    })
  }

  #nameTaken(name: string) {
    const holder = this.#db.get<Row & { id: string }>('SELECT id FROM containers WHERE name = ?', name)
    return containerErrors.error('name_taken', {
      message: `The name "${name}" belongs to container ${holder?.id.slice(0, 12) ?? '?'}. Remove or rename that one, or choose another name.`,
      subject: { type: 'container', id: name },
    })
  }
}

/** The error for a container that does not exist. */
export function notFound(idOrName: string) {
  return containerErrors.error('not_found', {
    message: `There is no container "${idOrName}" on this root. List them with engine.containers.list().`,
    subject: { type: 'container', id: idOrName },
  })
}

const pick = <T>(change: T | undefined, present: T): T => (change === undefined ? present : change)

function fromRow(row: ContainerRow): ContainerRecord {
  return {
    id: row.id as ContainerId,
    name: row.name,
    lifetime: row.lifetime,
    owner: row.owner,
    holder: row.holder,
    keep: row.keep === 1,
    spec: parseStoredJson<StoredSpec>(row.spec, `container ${row.id}`),
    status: row.status,
    pid: row.pid,
    pidStart: row.pid_start,
    exit:
      row.exit_code === null || row.finished_at === null
        ? null
        : {
            exitCode: row.exit_code,
            signal: row.exit_signal,
            oomKilled: row.oom_killed === 1,
            finishedAt: new Date(row.finished_at),
          },
    error: row.error,
    restartCount: row.restart_count,
    createdAt: new Date(row.created_at),
    startedAt: row.started_at === null ? null : new Date(row.started_at),
  }
}
