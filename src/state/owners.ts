import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isEngineError } from '../errors/engine-error.ts'
import { type FileLock, tryLock } from '../host/file-lock.ts'
import { currentIdentity, isAlive, type ProcessIdentity } from '../host/process-identity.ts'
import type { Database } from './database.ts'
import type { RootPaths } from './paths.ts'

export type OwnerRole = 'engine' | 'monitor'

export interface OwnerRecord {
  readonly id: string
  readonly role: OwnerRole
  readonly pid: number
  /** Of the boot of the machine in which it ran. */
  readonly bootId: string
}

/** This process's registration: everything it holds is recorded under `id`. */
export interface Owner extends Disposable {
  readonly id: string
  readonly role: OwnerRole
}

/**
 * Who holds what. An owner is alive while its lock file is locked; the kernel drops the lock when the process dies,
 * however it dies, so a stale pid can never pass for a living owner.
 */
export class Owners {
  readonly #db: Database
  readonly #paths: RootPaths

  constructor(db: Database, paths: RootPaths) {
    this.#db = db
    this.#paths = paths
  }

  register(role: OwnerRole): Owner {
    const id = randomBytes(8).toString('hex')
    mkdirSync(this.#paths.owners, { recursive: true, mode: 0o700 })
    // Locked before it is recorded: whoever sees the record finds the lock held.
    const lock = tryLock(this.#lockFile(id))
    if (!lock) throw new Error(`the new lock file of owner ${id} is taken`)
    const self = currentIdentity()
    this.#db.transaction(
      () =>
        this.#db.run(
          'INSERT INTO owners (id, role, pid, start_time, boot_id, opened_at) VALUES (?, ?, ?, ?, ?, ?)',
          id,
          role,
          self.pid,
          self.startTime,
          self.bootId,
          Date.now(),
        ),
      'process',
    )
    return { id, role, [Symbol.dispose]: () => this.#leave(id, lock) }
  }

  /** False for unknown ids. */
  isAlive(id: string): boolean {
    if (!this.#db.get('SELECT 1 FROM owners WHERE id = ?', id)) return false
    const lock = tryLock(this.#lockFile(id))
    if (!lock) return true
    lock[Symbol.dispose]()
    return false
  }

  /** Living owners, found by their locks. */
  living(role?: OwnerRole): OwnerRecord[] {
    return this.#all().filter((owner) => (role === undefined || owner.role === role) && this.isAlive(owner.id))
  }

  /** Owners that died without leaving; their things are the caller's to sweep, then `forget` them. */
  dead(): OwnerRecord[] {
    return this.#all().filter((owner) => !this.isAlive(owner.id))
  }

  /**
   * Waits, half a second at most, for locks whose owner's process is gone: a child that it was forking holds the lock
   * until its exec. The lock stays the judge, because a pid of another pid namespace cannot be seen from here.
   */
  async settle(): Promise<void> {
    const deadline = performance.now() + 500
    const dying = () =>
      this.#db
        .all<ProcessIdentity & Record<string, unknown>>(
          'SELECT id, pid, start_time AS startTime, boot_id AS bootId FROM owners',
        )
        .some((owner) => !isAlive(owner) && this.isAlive(String(owner['id'])))
    while (dying() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  /** Drops a dead owner's record and with it its leases. */
  forget(id: string): void {
    this.#db.transaction(() => this.#db.run('DELETE FROM owners WHERE id = ?', id), 'process')
    rmSync(this.#lockFile(id), { force: true })
  }

  /** Removes lock files of the dead that no record names; they are left when records are lost. */
  sweepLocks(): void {
    for (const name of readdirSync(this.#paths.owners)) {
      if (this.#db.get('SELECT 1 FROM owners WHERE id = ?', name.replace(/\.lock$/, ''))) continue
      using lock = tryLock(join(this.#paths.owners, name))
      if (lock) rmSync(lock.path, { force: true })
    }
  }

  #all(): OwnerRecord[] {
    return this.#db.all<OwnerRecord & Record<string, unknown>>('SELECT id, role, pid, boot_id AS bootId FROM owners')
  }

  #leave(id: string, lock: FileLock): void {
    try {
      this.forget(id)
    } catch (error) {
      // Who finds its lock free forgets it.
      if (!isEngineError(error, { code: 'state.full' })) throw error
    } finally {
      lock[Symbol.dispose]()
    }
  }

  #lockFile(id: string): string {
    return join(this.#paths.owners, `${id}.lock`)
  }
}
