import type { LogEntry, LogQuery } from '../driver-kit/log-driver.ts'
import type { BatchSource } from './batch-iterator.ts'
import type { StoredReader } from './live-log.ts'

/** Entries put together when a driver gives them one by one. */
const batchEntries = 512

/** A stored log in batches: the driver's own, or put together. */
export class StoredBatches implements BatchSource {
  readonly #batches: AsyncIterator<readonly LogEntry[]>

  constructor(reader: StoredReader, query: LogQuery) {
    const batches = reader.readBatches?.(query) ?? gather(reader.read(query))
    this.#batches = batches[Symbol.asyncIterator]()
  }

  async next(): Promise<readonly LogEntry[] | null> {
    const { done, value } = await this.#batches.next()
    return done ? null : value
  }

  async close(): Promise<void> {
    await this.#batches.return?.()
  }
}

async function* gather(entries: AsyncIterable<LogEntry>): AsyncGenerator<readonly LogEntry[], void, undefined> {
  let batch: LogEntry[] = []
  for await (const entry of entries) {
    batch.push(entry)
    if (batch.length < batchEntries) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
