import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { LogEntry, LogSink, LogStream } from '../driver-kit/log-driver.ts'
import { closeQuietly } from '../host/pipe.ts'
import type { AttachedOutput, AttachOptions } from './attach-output.ts'
import type { BatchSource } from './batch-iterator.ts'
import type { FollowQuery } from './follow.ts'
import { OutputPump } from './output-pump.ts'
import { recoverSpools } from './recover-spool.ts'

export interface LogPumpOptions {
  /** Reading ends of the container's standard output and error; the pump owns and closes them. */
  readonly stdout: number
  readonly stderr: number
  /** Where entries go. The pump flushes it but leaves its disposal to the caller. */
  readonly sink: LogSink
  /** Of the first entry: one more than the sink's `lastSequence`. */
  readonly firstSequence: bigint
  /** No entry gets an earlier time: the sink's `lastTime`, so that a log goes on in order. */
  readonly notBefore?: bigint | undefined
  /** Nanoseconds since the epoch. Default: the system's clock, which the pump never lets run back. */
  readonly now?: (() => bigint) | undefined
  /** Called with each line, rejoined as in `follow`, from the first one on, before any follower gets it. */
  readonly onEntry?: ((entry: LogEntry) => void) | undefined
  /** Called with the bytes as they come. They belong to the log: do not change them. */
  readonly onBytes?: ((stream: LogStream, bytes: Uint8Array) => void) | undefined
  readonly diagnostics: DiagnosticsSink
  /** Longer lines become pieces. Default 16384, as Docker. */
  readonly maxLineBytes?: number | undefined
  /** The descriptors belonged to a process that died: what they hold now was written when nobody looked. */
  readonly adopted?: boolean | undefined
  /** Who writes, for diagnostics. */
  readonly subject?: string | undefined
}

export interface LogPumpStats {
  readonly entries: number
  readonly bytes: { readonly stdout: number; readonly stderr: number }
  /** Entries that the sink refused until the pump had to give up (see diagnostics). */
  readonly lostEntries: number
}

/** Moves a running container's output from its pipes into its log, and to everybody who listens. */
export interface LogPump {
  /** Settles when both streams have ended (or were drained or stopped) and all is written and flushed. Never rejects. */
  readonly finished: Promise<void>
  /** Stored entries that the query lets through, then new ones as they come, until the output ends. */
  follow(query?: FollowQuery): AsyncIterable<LogEntry>
  /** The same in batches, for whoever puts something around it. */
  followBatches(query?: FollowQuery): BatchSource
  /** The exact bytes of both streams as they come. */
  attach(options?: AttachOptions): AttachedOutput
  /** For FIFOs, which never end: takes what they hold now, and finishes. Call it when the container has ended. */
  drainAndFinish(): Promise<void>
  /** Stops reading at once, stores what was read, closes the descriptors. */
  stop(): Promise<void>
  readonly stats: LogPumpStats
}

/** Starts reading at once. */
export function startLogPump(options: LogPumpOptions): LogPump {
  return new OutputPump(options, null)
}

export interface ResumeLogPumpOptions extends Omit<LogPumpOptions, 'firstSequence' | 'notBefore'> {
  /**
   * For FIFOs: an existing directory of the container's own. Output goes through a file there, so that the death of this
   * process at any moment loses no byte of it: the next pump with the same directory goes on where the log ends.
   */
  readonly spoolDirectory?: string | undefined
}

/** Starts a pump where the sink's stored log ends. The descriptors are the pump's, also when this rejects. */
export async function resumeLogPump(options: ResumeLogPumpOptions): Promise<LogPump> {
  const { sink, spoolDirectory, ...rest } = options
  try {
    const [sequence, time] = await Promise.all([sink.lastSequence?.() ?? 0n, sink.lastTime?.() ?? 0n])
    const spools = spoolDirectory === undefined ? null : await recoverSpools(spoolDirectory, sink, Number(sequence))
    return new OutputPump({ ...rest, sink, firstSequence: sequence + 1n, notBefore: time }, spools)
  } catch (error) {
    closeQuietly(options.stdout)
    closeQuietly(options.stderr)
    throw error
  }
}
