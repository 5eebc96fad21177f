import type { LogSink, LogStream, PartialMark } from '../driver-kit/log-driver.ts'
import { SpoolFile } from './spool-file.ts'

/** A stream's spool, and where in it the bytes begin that the log lacks. */
export interface RecoveredSpool {
  readonly file: SpoolFile
  readonly stored: number
  /** The last stored entry, when the line that it is a piece of goes on. */
  readonly open: PartialMark | null
}

export type RecoveredSpools = Readonly<Record<LogStream, RecoveredSpool>>

/**
 * Opens the spools of both streams, or makes them. How much of a spool is in the log follows from the log: the entries
 * after the spool's base are made of its bytes. A log that cannot be read back gets all of the spool again.
 */
export async function recoverSpools(directory: string, sink: LogSink, sequence: number): Promise<RecoveredSpools> {
  const stdout = await recoverSpool(directory, 'stdout', sink, sequence)
  try {
    return { stdout, stderr: await recoverSpool(directory, 'stderr', sink, sequence) }
  } catch (error) {
    stdout.file.close()
    throw error
  }
}

async function recoverSpool(
  directory: string,
  stream: LogStream,
  sink: LogSink,
  sequence: number,
): Promise<RecoveredSpool> {
  const file = SpoolFile.find(directory, stream)
  if (!file) return { file: SpoolFile.create(directory, stream, sequence), stored: 0, open: null }
  try {
    let stored = 0
    let open: PartialMark | null = null
    if (file.size > 0 && sink.read)
      for await (const { bytes, partial } of sink.read({ after: BigInt(file.base), streams: [stream] })) {
        stored += bytes.length + (partial === null || partial.last ? 1 : 0)
        open = partial?.last ? null : partial
      }
    return { file, stored: Math.min(stored, file.size), open }
  } catch (error) {
    file.close()
    throw error
  }
}
