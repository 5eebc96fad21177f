import { connect, type Socket } from 'node:net'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { holderErrors } from '../errors/holder-errors.ts'
import { errnoOf } from '../errors/host-errors.ts'
import { type CallOptions, raceAbort } from '../lifetime/call-options.ts'
import { encodeJson, type Frame, FrameReader } from './frames.ts'
import { fromWire, type HolderReply, type HolderRequest, protocolVersion } from './protocol.ts'
import { RemoteInput } from './remote-input.ts'
import { withSocketPath } from './socket-path.ts'

type RequestBody = HolderRequest extends infer R ? (R extends HolderRequest ? Omit<R, 'protocol'> : never) : never

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

/** Asks the process that listens on `socketPath`. Each call is a connection of its own. */
export class HolderClient {
  readonly #path: string

  constructor(socketPath: string) {
    this.#path = socketPath
  }

  /** Null when nobody listens. */
  async tryCall(request: RequestBody, call?: CallOptions): Promise<{ readonly pid: number } | null> {
    const socket = await this.#connect()
    if (!socket) return null
    try {
      const first = await raceAbort(converse(socket, request), call?.signal, `Asking the holder to ${request.op}`)
      return first
    } finally {
      socket.destroy()
    }
  }

  /** Attaches to a held container. Null when nobody listens. */
  async tryAttach(id: string, stdin: boolean, call?: CallOptions): Promise<RemoteStreams | null> {
    const socket = await this.#connect()
    if (!socket) return null
    const stdout = new PassThrough()
    const stderr = new PassThrough()
    const input = stdin ? new RemoteInput(socket) : null
    let over = false
    try {
      await raceAbort(
        converse(socket, { op: 'attach', id, stdin }, ({ kind, payload }) => {
          if (kind === 'stdin-taken') input?.taken()
          if (kind === 'over') over = true
          const into = kind === 'stdout' ? stdout : kind === 'stderr' ? stderr : null
          if (into && !into.write(payload)) {
            socket.pause()
            into.once('drain', () => socket.resume())
          }
        }),
        call?.signal,
        'Attaching',
      )
    } catch (error) {
      socket.destroy()
      throw error
    }
    socket.once('close', () => {
      stdout.end()
      stderr.end()
      input?.close(over ? null : lost('take what it was given'))
    })
    const detach = () => {
      over = true
      socket.destroy()
    }
    return { stdin: input?.stream ?? null, stdout, stderr, detach }
  }

  async #connect(): Promise<Socket | null> {
    return withSocketPath(
      this.#path,
      (path) =>
        new Promise((resolve, reject) => {
          const socket = connect({ path })
          socket.once('connect', () => resolve(socket))
          socket.once('error', (error: NodeJS.ErrnoException) =>
            nobodyListens.has(error.code ?? '') ? resolve(null) : reject(error),
          )
        }),
    )
  }
}

/** The last one: it was killed before it could take the connection. */
const nobodyListens: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET'])

/** What a socket says when the process at its other end is killed. */
const diedOf: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE'])

const lost = (what: string, cause?: unknown) =>
  holderErrors.error('lost', {
    cause,
    message: `The process that holds the container went away while it was asked to ${what}. Try again.`,
    retryable: true,
  })

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
