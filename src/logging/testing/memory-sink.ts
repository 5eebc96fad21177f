import type { LogEntry, LogQuery, LogReader, LogSink } from '../../driver-kit/log-driver.ts'

/** A sink for tests: keeps entries, can be slow, refuse, or be unreadable. */
export class MemorySink implements LogSink, LogReader {
  readonly entries: LogEntry[] = []
  /** Called before a batch is taken. */
  before: () => Promise<void> | void = () => {}
  reads = 0

  async write(batch: readonly LogEntry[]): Promise<void> {
    await this.before()
    this.entries.push(...batch)
  }

  async flush(): Promise<void> {}

  async *read(query: LogQuery): AsyncGenerator<LogEntry, void, undefined> {
    this.reads++
    const stored = this.entries.filter(
      (entry) =>
        (query.streams ?? ['stdout', 'stderr']).includes(entry.stream) &&
        entry.sequence > (query.after ?? 0n) &&
        (typeof query.since !== 'bigint' || entry.time >= query.since) &&
        (typeof query.until !== 'bigint' || entry.time <= query.until),
    )
    for (const entry of query.tail === undefined ? stored : stored.slice(Math.max(0, stored.length - query.tail)))
      yield entry
  }

  async lastSequence(): Promise<bigint> {
    return this.entries.at(-1)?.sequence ?? 0n
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
