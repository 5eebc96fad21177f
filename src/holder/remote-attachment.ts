import type { Socket } from 'node:net'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { abortError } from '../errors/call-errors.ts'
import { holderErrors } from '../errors/holder-errors.ts'
import type { Frame } from './frames.ts'
import { RemoteInput } from './remote-input.ts'

/** The standard streams of a container that another process holds. */
export interface RemoteStreams {
  /**
   * Null when attached without standard input. A write is done when the program's pipe has the bytes; it fails with
   * `holder.lost` when the holder is killed before that, and then nobody knows whether the program gets them.
   */
  readonly stdin: Writable | null
  readonly stdout: Readable
  readonly stderr: Readable
  /** Leaves; the container goes on. */
  detach(): void
}

/** One attachment over its socket, from the answer to the request until the socket closes. */
export class RemoteAttachment implements RemoteStreams {
  readonly stdout = new PassThrough()
  readonly stderr = new PassThrough()
  readonly #socket: Socket
  readonly #input: RemoteInput | null
  #over = false

  constructor(socket: Socket, stdin: boolean) {
    this.#socket = socket
    this.#input = stdin ? new RemoteInput(socket) : null
    socket.once('close', () => this.#closed())
  }

  get stdin(): Writable | null {
    return this.#input?.stream ?? null
  }

  /** A frame that came after the answer. */
  take({ kind, payload }: Frame): void {
    if (kind === 'stdin-taken') this.#input?.taken()
    if (kind === 'over') this.#over = true
    const into = kind === 'stdout' ? this.stdout : kind === 'stderr' ? this.stderr : null
    if (into && !into.destroyed && !into.write(payload)) {
      this.#socket.pause()
      // A stream that is destroyed makes room for the other one.
      const resume = () => {
        into.off('drain', resume).off('close', resume)
        this.#socket.resume()
      }
      into.once('drain', resume).once('close', resume)
    }
  }

  /** From now on the signal ends it. */
  heed(signal: AbortSignal): void {
    const onAbort = () => {
      const error = abortError(signal, 'The attachment')
      fail(this.stdout, error)
      fail(this.stderr, error)
      this.#input?.close(error)
      this.#socket.destroy()
    }
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    this.#socket.once('close', () => signal.removeEventListener('abort', onAbort))
  }

  detach(): void {
    this.#over = true
    this.#socket.destroy()
  }

  #closed(): void {
    for (const output of [this.stdout, this.stderr]) if (!output.destroyed) output.end()
    this.#input?.close(this.#over ? null : lost('take what it was given'))
  }
}

function fail(output: Readable, error: Error): void {
  // A stream that nobody reads has nobody to listen to its errors.
  if (output.readableFlowing === null) output.on('error', () => {})
  output.destroy(error)
}

export const lost = (what: string, cause?: unknown) =>
  holderErrors.error('lost', {
    cause,
    message: `The process that holds the container went away while it was asked to ${what}. Try again.`,
    retryable: true,
  })
