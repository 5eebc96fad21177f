import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { abortError } from '../errors/call-errors.ts'
import { holderErrors } from '../errors/holder-errors.ts'
import type { Frame } from './frames.ts'
import { fromWire, type OutputStream, type StreamNotice } from './protocol.ts'
import { RemoteInput } from './remote-input.ts'
import { RemoteOutput } from './remote-output.ts'

/** The standard streams of a container that another process holds. */
export interface RemoteStreams {
  /**
   * Null when attached without standard input. A write is done when the program's pipe has the bytes; it fails with
   * `holder.lost` when the holder is killed before that, and then nobody knows whether the program gets them.
   */
  readonly stdin: Writable | null
  /** Neither waits for the other one's reader. Both fail with `holder.lost` when the holder is killed. */
  readonly stdout: Readable
  readonly stderr: Readable
  /** Leaves; the container goes on. */
  detach(): void
}

/**
 * One attachment over its socket, from the answer to the request until the socket closes. It keeps the process alive while
 * somebody waits for a byte.
 */
export class RemoteAttachment implements RemoteStreams {
  readonly #socket: Socket
  readonly #outputs: Readonly<Record<OutputStream, RemoteOutput>>
  readonly #input: RemoteInput | null
  /** The container has ended, or we have left. */
  #over = false
  /** What the holder said why it ends early. */
  #failure: Error | null = null
  #begun = false

  constructor(socket: Socket, stdin: boolean) {
    const onWaits = () => this.#keepAlive()
    this.#socket = socket
    this.#outputs = {
      stdout: new RemoteOutput('stdout', socket, onWaits),
      stderr: new RemoteOutput('stderr', socket, onWaits),
    }
    this.#input = stdin ? new RemoteInput(socket, onWaits) : null
    socket.once('close', () => this.#closed())
  }

  get stdin(): Writable | null {
    return this.#input?.stream ?? null
  }

  get stdout(): Readable {
    return this.#outputs.stdout.stream
  }

  get stderr(): Readable {
    return this.#outputs.stderr.stream
  }

  /** A frame that came after the answer. */
  take({ kind, payload }: Frame): void {
    if (kind === 'stdin-taken') this.#input?.taken()
    else if (kind === 'over') this.#over = true
    else if (kind === 'stdout' || kind === 'stderr') this.#outputs[kind].push(payload)
    else if (kind === 'json') this.#note(JSON.parse(payload.toString()) as StreamNotice)
  }

  /** The answer has come: from now on the signal ends it. */
  begin(signal: AbortSignal | undefined): void {
    this.#begun = true
    this.#keepAlive()
    if (!signal) return
    const onAbort = () => this.#abort(abortError(signal, 'The attachment'))
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    this.#socket.once('close', () => signal.removeEventListener('abort', onAbort))
  }

  detach(): void {
    this.#over = true
    this.#socket.destroy()
  }

  #abort(error: Error): void {
    for (const output of Object.values(this.#outputs)) output.fail(error)
    this.#input?.close(error)
    this.#socket.destroy()
  }

  #note(notice: StreamNotice): void {
    if ('ended' in notice) this.#outputs[notice.ended].end()
    else this.#failure = fromWire(notice.error)
  }

  #keepAlive(): void {
    if (!this.#begun) return
    const { stdout, stderr } = this.#outputs
    if (stdout.waits || stderr.waits || this.#input?.waits) this.#socket.ref()
    else this.#socket.unref()
  }

  #closed(): void {
    const because = (what: string) => (this.#over ? null : (this.#failure ?? lost(what)))
    for (const output of Object.values(this.#outputs)) output.close(because('pass on what the program writes'))
    this.#input?.close(because('take what it was given'))
  }
}

export const lost = (what: string, cause?: unknown) =>
  holderErrors.error('lost', {
    cause,
    message: `The process that holds the container went away while it was asked to ${what}. Try again.`,
    retryable: true,
  })
