import { connect, type Socket } from 'node:net'
import { abortError, callErrors } from '../errors/call-errors.ts'
import { errnoOf } from '../errors/host-errors.ts'
import { type CallOptions, raceAbort, throwIfAborted } from '../lifetime/call-options.ts'
import { encodeJson, type Frame, FrameReader } from './frames.ts'
import { fromWire, type HolderReply, type HolderRequest, protocolVersion } from './protocol.ts'
import { lost, RemoteAttachment, type RemoteStreams } from './remote-attachment.ts'
import { withSocketPath } from './socket-path.ts'

type RequestBody = HolderRequest extends infer R ? (R extends HolderRequest ? Omit<R, 'protocol'> : never) : never

export interface RemoteAttachOptions extends CallOptions {
  /** With standard input. */
  readonly stdin: boolean
  /** Begin with all that the log holds. */
  readonly replay: boolean
}

/** Asks the process that listens on `socketPath`. Each call is a connection of its own; disposal leaves all attachments. */
export class HolderClient implements Disposable {
  readonly #path: string
  readonly #attached = new Set<RemoteStreams>()
  #disposed = false

  constructor(socketPath: string) {
    this.#path = socketPath
  }

  /** Null when nobody listens. */
  async tryCall(request: RequestBody, call?: CallOptions): Promise<{ readonly pid: number } | null> {
    const what = `Asking the holder to ${request.op}`
    const socket = await this.#connect(what, call)
    if (!socket) return null
    try {
      return await raceAbort(converse(socket, request), call?.signal, what)
    } finally {
      socket.destroy()
    }
  }

  /** Attaches to a held container, until the signal fires. Null when nobody listens. */
  async tryAttach(id: string, options: RemoteAttachOptions): Promise<RemoteStreams | null> {
    const { stdin, replay, ...call } = options
    const socket = await this.#connect('Attaching', call)
    if (!socket) return null
    const attachment = new RemoteAttachment(socket, stdin)
    try {
      const answer = converse(socket, { op: 'attach', id, stdin, replay }, (frame) => attachment.take(frame))
      await raceAbort(answer, call.signal, 'Attaching')
      if (this.#disposed) throw callErrors.error('disposed', { message: 'The engine was disposed during the call.' })
    } catch (error) {
      socket.destroy()
      throw error
    }
    this.#attached.add(attachment)
    socket.once('close', () => this.#attached.delete(attachment))
    attachment.begin(call.signal)
    return attachment
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    for (const attachment of this.#attached) attachment.detach()
  }

  async #connect(what: string, call?: CallOptions): Promise<Socket | null> {
    throwIfAborted(call, what)
    const signal = call?.signal
    return withSocketPath(
      this.#path,
      (path) =>
        new Promise((resolve, reject) => {
          const socket = connect({ path })
          const onAbort = () => {
            socket.destroy()
            reject(abortError(signal!, what))
          }
          signal?.addEventListener('abort', onAbort, { once: true })
          const settled = () => signal?.removeEventListener('abort', onAbort)
          socket.once('connect', () => {
            settled()
            resolve(socket)
          })
          socket.once('error', (error: NodeJS.ErrnoException) => {
            settled()
            if (nobodyListens.has(error.code ?? '')) resolve(null)
            else reject(error)
          })
        }),
    )
  }
}

/** The last one: it was killed before it could take the connection. */
const nobodyListens: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET'])

/** What a socket says when the process at its other end is killed. */
const diedOf: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE'])

/** Sends the request, resolves with the reply; frames after it go to `onFrame`. */
function converse(
  socket: Socket,
  request: RequestBody,
  onFrame?: (frame: Frame) => void,
): Promise<{ readonly pid: number }> {
  return new Promise((resolve, reject) => {
    const reader = new FrameReader()
    let replied = false
    const fail = (error: unknown) => {
      if (!replied) reject(diedOf.has(errnoOf(error) ?? '') ? lost(request.op, error) : error)
      socket.destroy()
    }
    socket.on('error', fail)
    socket.on('close', () => {
      if (!replied) reject(lost(request.op))
    })
    socket.on('data', (chunk) => {
      try {
        for (const frame of reader.push(chunk)) {
          if (replied) onFrame?.(frame)
          else {
            replied = true
            const reply = JSON.parse(frame.payload.toString()) as HolderReply
            if (reply.ok) resolve({ pid: reply.pid })
            else reject(fromWire(reply.error))
          }
        }
      } catch (error) {
        fail(error)
      }
    })
    socket.write(encodeJson({ protocol: protocolVersion, ...request }))
  })
}
