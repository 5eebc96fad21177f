import { rmSync, statSync, writeFileSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'

export type SqlValue = SQLInputValue
export type Row = Readonly<Record<string, unknown>>

/**
 * How long a commit waits. `durable`: survives power loss (`synchronous=FULL`, one fsync). `process`: survives SIGKILL
 * of any process, not power loss; for records of what cannot outlive this process anyway.
 */
export type Durability = 'durable' | 'process'

const reserveBytes = 1 << 20

/** SQLITE_FULL, and SQLITE_IOERR_* for a write that the disk refused. */
const isFull = (error: unknown): boolean => [10, 13].includes((sqliteCode(error) ?? 0) & 0xff)

/** SQLite's result code; of the cause, where the error is one of ours. https://sqlite.org/rescode.html */
export function sqliteCode(error: unknown): number | undefined {
  const { errcode, cause } = error as { errcode?: number; cause?: unknown }
  return errcode ?? (cause instanceof Error ? sqliteCode(cause) : undefined)
}

/**
 * One SQLite connection in WAL mode, shared by everything in an engine; statements are prepared once. All calls are
 * synchronous and short: never hold a transaction across an `await`.
 */
export class Database implements Disposable {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  #depth = 0
  #durability: Durability = 'durable'
  readonly #reserve: string
  readonly #describe: (error: unknown) => unknown

  /** `describe` gives failures of SQLite their place among our errors. */
  constructor(file: string, describe: (error: unknown) => unknown = (error) => error) {
    this.#describe = describe
    this.#db = new DatabaseSync(file, { timeout: 20_000 })
    try {
      this.#db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;')
    } catch (error) {
      // Else the collector would, some time later: until then its descriptors and locks would stay.
      this.#db.close()
      throw error
    }
    this.#reserve = `${file}-reserve`
    this.#fillReserve()
  }

  exec(sql: string): void {
    this.#typed(() => this.#db.exec(sql))
  }

  run(sql: string, ...values: SqlValue[]): { readonly changes: number } {
    return { changes: Number(this.#typed(() => this.#prepare(sql).run(...values)).changes) }
  }

  get<T extends Row>(sql: string, ...values: SqlValue[]): T | undefined {
    return this.#typed(() => this.#prepare(sql).get(...values)) as T | undefined
  }

  all<T extends Row>(sql: string, ...values: SqlValue[]): T[] {
    return this.#typed(() => this.#prepare(sql).all(...values)) as T[]
  }

  /**
   * Runs `work` in a write transaction (BEGIN IMMEDIATE: waits its turn behind other processes). Inside another
   * transaction it joins that one.
   */
  transaction<T>(work: () => T, durability: Durability = 'durable'): T {
    if (this.#depth > 0) return work()
    try {
      return this.#commit(work, durability)
    } catch (error) {
      if (!isFull(error) || !this.#releaseReserve()) throw error
      return this.#commit(work, durability)
    }
  }

  #commit<T>(work: () => T, durability: Durability): T {
    if (durability !== this.#durability) {
      this.#db.exec(`PRAGMA synchronous=${durability === 'durable' ? 'FULL' : 'NORMAL'}`)
      this.#durability = durability
    }
    this.run('BEGIN IMMEDIATE')
    this.#depth++
    try {
      const result = work()
      this.run('COMMIT')
      return result
    } catch (error) {
      if (this.#db.isTransaction) this.#prepare('ROLLBACK').run()
      throw error
    } finally {
      this.#depth--
    }
  }

  [Symbol.dispose](): void {
    this.#statements.clear()
    if (this.#db.isOpen) this.#db.close()
  }

  // A full disk must not keep anybody from removing things: the records can grow by what the reserve file gives back.
  #fillReserve(): void {
    try {
      if ((statSync(this.#reserve, { throwIfNoEntry: false })?.size ?? 0) < reserveBytes)
        writeFileSync(this.#reserve, Buffer.alloc(reserveBytes, 1))
    } catch {
      rmSync(this.#reserve, { force: true })
    }
  }

  #releaseReserve(): boolean {
    const present = statSync(this.#reserve, { throwIfNoEntry: false }) !== undefined
    rmSync(this.#reserve, { force: true })
    return present
  }

  #typed<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw this.#describe(error)
    }
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (!statement) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}
