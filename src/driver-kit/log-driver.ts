import type { CallOptions } from '../lifetime/call-options.ts'
import type { ContainerId } from './ids.ts'

/** Which output of a program an entry came from. */
export type LogStream = 'stdout' | 'stderr'

/**
 * Marks output that is not one whole line ending in a newline. A line above the limit (16 KiB) comes in pieces with one
 * `id`; the piece that ends with the newline has `last`. Output whose newline never came (the program ended) is a piece
 * whose `last` is false and that no other follows. So exactly the entries with `partial === null || partial.last` were
 * followed by a newline.
 */
export interface PartialMark {
  readonly id: string
  /** From 1. */
  readonly ordinal: number
  readonly last: boolean
}

/** One line of output, without its newline, or a piece of one (`partial`). */
export interface LogEntry {
  readonly stream: LogStream
  /** When the engine read it: nanoseconds since the epoch. Never runs back within a container. */
  readonly time: bigint
  /** UTF-8 text of `bytes`; what is not UTF-8 shows as U+FFFD. */
  readonly text: string
  /** Exact. May be a view into a larger buffer that other entries share: copy what is kept for long. */
  readonly bytes: Uint8Array
  readonly partial: PartialMark | null
  /** Position in the container's log, from 1, without gaps. */
  readonly sequence: bigint
  /** True when nobody read the output while it was written (a holder had died): `time` is when it was found. */
  readonly timeIsApproximate?: boolean | undefined
}

/** Whose log a sink takes. */
export interface LogSubject {
  readonly containerId: ContainerId
  readonly containerName: string
  readonly imageName: string
  readonly imageId: string
  readonly createdAt: Date
  readonly command: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string>>
  /** A directory of the container's own for a driver that keeps files. */
  readonly directory: string
}

/** Which entries to read. All conditions must hold. */
export interface LogQuery extends CallOptions {
  /**
   * Only the last n lines of those that the other conditions let through; 0 for none. A line stored in pieces counts
   * once and comes with all its pieces. Default: all.
   */
  readonly tail?: number | undefined
  /** Entries at or after this time; a `bigint` counts nanoseconds since the epoch. */
  readonly since?: Date | bigint | undefined
  /** Entries at or before this time. */
  readonly until?: Date | bigint | undefined
  readonly streams?: readonly LogStream[] | undefined
  /** Entries with a higher sequence number. */
  readonly after?: bigint | undefined
}

/**
 * # Log drivers
 *
 * The engine splits a container's output into entries and hands them over in batches. A driver formats and delivers
 * them. `write` that stays pending gives back-pressure; it must not reject for a passing fault of a far end.
 */
export interface LogDriver extends AsyncDisposable {
  readonly name: string
  /** Pure. Unknown keys are refused by name with `invalid_argument`. */
  parseSinkOptions(input: Readonly<Record<string, string>>): unknown
  /** Opens the sink of one container, for its one writer; repairs what a crash left (a torn last line). */
  openSink(subject: LogSubject, options: unknown, call?: CallOptions): Promise<LogSink>
  /**
   * Opens what was written for reading only, whether or not another process writes it at this moment; a log without
   * entries reads as empty. Absent when the driver cannot read back.
   */
  openReader?(
    subject: Pick<LogSubject, 'containerId' | 'directory'>,
    options: unknown,
    call?: CallOptions,
  ): Promise<LogReader>
  /** Deletes what the driver keeps for a container; idempotent. */
  removeLog?(
    subject: Pick<LogSubject, 'containerId' | 'directory'>,
    options: unknown,
    call?: CallOptions,
  ): Promise<void>
}

/** Reads a container's stored log. Any number of reads may run at once. */
export interface LogReader extends AsyncDisposable {
  /** In order of `sequence`. Ends at what is stored when it gets there; leaving the loop frees what it holds. */
  read(query: LogQuery): AsyncIterable<LogEntry>
  /**
   * As `read`, several entries at a time, none of them an empty batch. For drivers that read so fast that a step per
   * entry would cost more than the reading; the engine prefers it.
   */
  readBatches?(query: LogQuery): AsyncIterable<readonly LogEntry[]>
  /** The sequence number of the newest stored entry, 0n when empty. */
  lastSequence(): Promise<bigint>
}

/** The open log of one container. */
export interface LogSink extends AsyncDisposable {
  /**
   * Resolves when the batch is accepted; from then on `read` gives it. Entries of one container come in order, one call
   * at a time. When it rejects nothing of the batch was accepted: the engine tries the same batch again.
   */
  write(batch: readonly LogEntry[], call?: CallOptions): Promise<void>
  /** Resolves when all accepted entries have left this process (file: written; network: sent). */
  flush(call?: CallOptions): Promise<void>
  /** Reads back what was accepted, as `LogReader.read`; absent when the driver cannot. */
  read?(query: LogQuery): AsyncIterable<LogEntry>
  /** The same, as `LogReader.readBatches`; only beside `read`. */
  readBatches?(query: LogQuery): AsyncIterable<readonly LogEntry[]>
  /** The sequence number of the newest stored entry, 0n when empty; lets an adopted log go on counting. */
  lastSequence?(): Promise<bigint>
  /** The time of that entry, 0n when empty; the engine gives no later entry an earlier time. */
  lastTime?(): Promise<bigint>
}
