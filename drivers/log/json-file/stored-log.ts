import { stat } from 'node:fs/promises'
import { type LogEntry, type LogQuery, type LogReader, throwIfAborted } from 'tscontainer/driver-kit'
import { LogFile, readFailed } from './log-file.ts'
import { LogRead } from './log-reader.ts'
import { type Position, Positions } from './positions.ts'

/** A log file as its writer knows it. */
export interface StoredLog {
  readonly path: string
  readonly positions: Positions
  /** The file's size as far as it holds whole lines. */
  end(): number
}

/** Answers a query from the file. What is written after the first entry was asked for is not read. */
export async function* readStoredBatches(
  log: StoredLog,
  query: LogQuery,
): AsyncGenerator<readonly LogEntry[], void, undefined> {
  const end = log.end()
  await using file = await LogFile.open(log.path)
  if (!file) return
  const read = new LogRead(file, log.positions, query, end)
  for await (const batch of read.batches(() => {})) {
    throwIfAborted(query, 'Reading the log')
    yield batch
  }
}

/** The same one by one. */
export async function* readStored(log: StoredLog, query: LogQuery): AsyncGenerator<LogEntry, void, undefined> {
  for await (const batch of readStoredBatches(log, query)) yield* batch
}

/** Reads a log file that another process may be writing; each read begins with a look at how far it is. */
export class JsonFileReader implements LogReader {
  readonly #path: string
  /** Where the read that got furthest ended: a follower's next look goes on from there. */
  #furthest: Position = { offset: 0, sequence: 0 }

  constructor(path: string) {
    this.#path = path
  }

  async *read(query: LogQuery): AsyncGenerator<LogEntry, void, undefined> {
    for await (const batch of this.readBatches(query)) yield* batch
  }

  async *readBatches(query: LogQuery): AsyncGenerator<readonly LogEntry[], void, undefined> {
    if (await this.#unchanged(query)) return
    await using file = await LogFile.open(this.#path)
    if (!file) return
    const { end, positions } = await this.#look(file)
    const read = new LogRead(file, positions, query, end)
    const onPosition = (position: Position) => {
      if (position.offset > this.#furthest.offset) this.#furthest = position
    }
    for await (const batch of read.batches(onPosition)) {
      throwIfAborted(query, 'Reading the log')
      yield batch
    }
  }

  async lastSequence(): Promise<bigint> {
    await using file = await LogFile.open(this.#path)
    if (!file) return 0n
    const { end, positions } = await this.#look(file)
    this.#furthest = await positions.ofOffset(file, end)
    return BigInt(this.#furthest.sequence)
  }

  /** A follower looks often; mostly there is nothing new. */
  async #unchanged({ after }: LogQuery): Promise<boolean> {
    if (after === undefined || Number(after) < this.#furthest.sequence) return false
    try {
      return (await stat(this.#path)).size === this.#furthest.offset
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return true
      throw readFailed(this.#path, error)
    }
  }

  async #look(file: LogFile): Promise<{ end: number; positions: Positions }> {
    const end = await file.completeEnd(await file.size())
    const positions = await Positions.load(this.#path, end)
    // A container whose log was removed and begun anew has a shorter file.
    if (this.#furthest.offset > end) this.#furthest = { offset: 0, sequence: 0 }
    positions.add(this.#furthest)
    return { end, positions }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
