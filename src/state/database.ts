import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'

export type SqlValue = SQLInputValue
export type Row = Readonly<Record<string, unknown>>

/**
 * How long a commit waits. `durable`: survives power loss (`synchronous=FULL`, one fsync). `process`: survives SIGKILL
 * of any process, not power loss; for records of what cannot outlive this process anyway.
 */
export type Durability = 'durable' | 'process'

/**
 * One SQLite connection in WAL mode, shared by everything in an engine; statements are prepared once. All calls are
 * synchronous and short: never hold a transaction across an `await`.
 */
export class Database implements Disposable {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  #depth = 0
  #durability: Durability = 'durable'

  constructor(file: string) {
    this.#db = new DatabaseSync(file, { timeout: 20_000 })
    this.#db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;')
  }

  exec(sql: string): void {
    this.#db.exec(sql)
  }

  run(sql: string, ...values: SqlValue[]): { readonly changes: number } {
    return { changes: Number(this.#prepare(sql).run(...values).changes) }
  }

  get<T extends Row>(sql: string, ...values: SqlValue[]): T | undefined {
    return this.#prepare(sql).get(...values) as T | undefined
  }

  all<T extends Row>(sql: string, ...values: SqlValue[]): T[] {
    return this.#prepare(sql).all(...values) as T[]
  }

  /**
   * Runs `work` in a write transaction (BEGIN IMMEDIATE: waits its turn behind other processes). Inside another
   * transaction it joins that one.
   */
  transaction<T>(work: () => T, durability: Durability = 'durable'): T {
    if (this.#depth > 0) return work()
    if (durability !== this.#durability) {
      this.#db.exec(`PRAGMA synchronous=${durability === 'durable' ? 'FULL' : 'NORMAL'}`)
      this.#durability = durability
    }
    this.#prepare('BEGIN IMMEDIATE').run()
    this.#depth++
    try {
      const result = work()
      this.#prepare('COMMIT').run()
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

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (!statement) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}
