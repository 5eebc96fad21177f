import type { LogEntry, LogStream } from '../driver-kit/log-driver.ts'
import { loggingErrors } from '../errors/logging-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { LogFollower } from './follow.ts'
import type { LineSplitter } from './line-splitter.ts'
import type { LiveLog } from './live-log.ts'

export interface AttachOptions extends CallOptions {
  /** Begin with all that the log holds instead of with what comes from now on. Default false. */
  readonly replay?: boolean | undefined
}

/**
 * A container's output as bytes. Each stream is read once, at the reader's own pace: one that falls behind goes on from
 * the stored log, so that it does not hold up the container (it does when the log cannot be read back). A stream nobody
 * wants to read may be left alone.
 */
export interface AttachedOutput extends Disposable {
  readonly stdout: AsyncIterable<Uint8Array>
  readonly stderr: AsyncIterable<Uint8Array>
}

/** Bytes kept for a reader before it has to go on from the stored log. */
const queueBytes = 1 << 20

interface Lane {
  readonly stream: LogStream
  readonly splitter: Pick<LineSplitter, 'pending' | 'pendingBytes'>
  readonly ended: boolean
}

/** Exact bytes of entries: every line with its newline. */
function bytesOf(entries: readonly LogEntry[]): Buffer {
  const parts: Uint8Array[] = []
  for (const { bytes, partial } of entries) {
    parts.push(bytes)
    if (partial === null || partial.last) parts.push(newline)
  }
  return Buffer.concat(parts)
}

const newline = Buffer.from('\n')

/** One stream for one reader: bytes as they are read, or from the stored log while the reader is behind. */
export class AttachedStream implements AsyncIterable<Uint8Array>, Disposable {
  readonly #live: LiveLog
  readonly #lane: Lane
  readonly #call: CallOptions
  readonly #onClose: () => void
  readonly #onAbort = () => this.#wake()
  #queue: Uint8Array[] = []
  #queued = 0
  #behind: boolean
  /** While behind: entries up to this one, and so many bytes after it, have been delivered or queued. */
  #after = 0
  #skip = 0
  #closed = false
  #wake: () => void = () => {}

  constructor(live: LiveLog, lane: Lane, options: AttachOptions, onClose: () => void) {
    if (options.replay && !live.reader)
      throw loggingErrors.error('not_readable', {
        message: 'This log cannot be replayed: its driver only sends it away. Attach without `replay`.',
      })
    this.#live = live
    this.#lane = lane
    this.#call = options
    this.#onClose = onClose
    this.#behind = options.replay ?? false
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** The container has to wait for this reader, because what it misses could not be read back. */
  get blocks(): boolean {
    return this.#queued > queueBytes && !this.#live.reader
  }

  /** Bytes that were just read, and whose entries are published already. */
  offer(stream: LogStream, bytes: Uint8Array): void {
    if (stream !== this.#lane.stream || this.#behind || this.#closed) return
    this.#queue.push(bytes)
    this.#queued += bytes.length
    if (this.#queued > queueBytes && this.#live.reader) {
      this.#behind = true
      this.#after = this.#live.recent.last
      this.#skip = this.#lane.splitter.pendingBytes
    }
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      while (!this.#closed) {
        throwIfAborted(this.#call, 'Reading the output')
        const bytes = this.#queue.shift()
        if (bytes) {
          this.#queued -= bytes.length
          yield bytes
        } else if (this.#behind) yield* this.#catchUp()
        else if (this.#lane.ended) return
        else await this.#more()
      }
    } finally {
      this[Symbol.dispose]()
    }
  }

  async *#catchUp(): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.#behind) {
      const query = { follow: false, rejoin: false, streams: [this.#lane.stream], after: BigInt(this.#after) } as const
      const follower = new LogFollower(this.#live, query)
      try {
        for (let batch = await follower.next(); batch !== null && !this.#closed; batch = await follower.next()) {
          throwIfAborted(this.#call, 'Reading the output')
          if (batch.length === 0) continue
          const bytes = bytesOf(batch).subarray(this.#skip)
          this.#skip = 0
          if (bytes.length > 0) yield bytes
        }
        this.#after = Math.max(this.#after, follower.cursor)
      } finally {
        await follower.close()
      }
      if (this.#closed) return
      if (this.#live.recent.last <= this.#after) this.#goLive()
    }
  }

  /** In one turn with having found that nothing is left to catch up with. */
  #goLive(): void {
    this.#behind = false
    const begun = this.#lane.splitter.pending.subarray(this.#skip)
    this.#skip = 0
    if (begun.length === 0) return
    this.#queue.push(begun)
    this.#queued += begun.length
  }

  async #more(): Promise<void> {
    // The end of the stream is announced to all; bytes wake this reader only.
    const { promise, cancel } = this.#live.arrivals.wait()
    this.#wake = cancel
    await promise
    this.#wake = () => {}
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    this.#queue = []
    this.#queued = 0
    this.#call.signal?.removeEventListener('abort', this.#onAbort)
    this.#wake()
    this.#onClose()
  }
}

export function attachedOutput(open: (stream: LogStream) => AttachedStream, call: CallOptions): AttachedOutput {
  throwIfAborted(call, 'Attaching')
  const stdout = open('stdout')
  const stderr = open('stderr')
  return {
    stdout,
    stderr,
    [Symbol.dispose]() {
      stdout[Symbol.dispose]()
      stderr[Symbol.dispose]()
    },
  }
}
