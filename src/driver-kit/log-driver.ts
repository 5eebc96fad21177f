import type { CallOptions } from '../lifetime/call-options.ts'
import type { ContainerId } from './ids.ts'

export type LogStream = 'stdout' | 'stderr'

/** Marks a piece of a line that was longer than the limit (16 KiB); pieces with one id make one line. */
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
  readonly bytes: Uint8Array
  readonly partial: PartialMark | null
  /** Position in the container's log, from 1, without gaps. */
  readonly sequence: bigint
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

/** Which entries to read. */
export interface LogQuery extends CallOptions {
  /** Only the last n lines. Default: all. */
  readonly tail?: number | undefined
  /** Entries at or after this time. */
  readonly since?: Date | bigint | undefined
  /** Entries at or before this time. */
  readonly until?: Date | bigint | undefined
  readonly streams?: readonly LogStream[] | undefined
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
  /** Opens the sink of one container; repairs what a crash left (a torn last line). */
  openSink(subject: LogSubject, options: unknown, call?: CallOptions): Promise<LogSink>
  /** Deletes what the driver keeps for a container; idempotent. */
  removeLog?(subject: Pick<LogSubject, 'containerId' | 'directory'>, options: unknown, call?: CallOptions): Promise<void>
}

export interface LogSink extends AsyncDisposable {
  /** Resolves when the batch is accepted; entries of one container come in order, one call at a time. */
  write(batch: readonly LogEntry[], call?: CallOptions): Promise<void>
  /** Resolves when all accepted entries have left this process (file: written; network: sent). */
  flush(call?: CallOptions): Promise<void>
  /** Reads back what was written; absent when the driver cannot. */
  read?(query: LogQuery): AsyncIterable<LogEntry>
  /** The sequence number of the newest stored entry, 0n when empty; lets an adopted log go on counting. */
  lastSequence?(): Promise<bigint>
}
