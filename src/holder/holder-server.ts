import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { holderErrors } from '../errors/holder-errors.ts'
import { encodeFrame, encodeJson, type Frame, FrameReader } from './frames.ts'
import { OutputWindow } from './output-window.ts'
import {
  type HolderReply,
  type HolderRequest,
  type OutputStream,
  protocolVersion,
  type StreamNotice,
  type StreamOrder,
  toWire,
  windowBytes,
} from './protocol.ts'
import { withSocketPath } from './socket-path.ts'

/** Live streams that a holder hands to one attached peer. */
export interface HeldStreams {
  /** What the program writes from now on; both end with it. */
  readonly output: Disposable & {
    readonly stdout: AsyncIterable<Uint8Array>
    readonly stderr: AsyncIterable<Uint8Array>
  }
  /** Null when the peer attached without standard input. */
  readonly writeStdin: ((bytes: Uint8Array) => Promise<void>) | null
  readonly endStdin: (() => Promise<void>) | null
}

/** What a holding process can be asked for. */
export interface HolderHandlers {
  start(id: string): Promise<void>
  attach(id: string, stdin: boolean, replay: boolean): Promise<HeldStreams>
}

export interface HolderServer extends AsyncDisposable {
  /** Connections open now. */
  readonly connections: number
}

/** Serves the holder protocol on a unix socket; `onIdle` is called when the last connection closes. */
export async function serveHolder(
  socketPath: string,
  handlers: HolderHandlers,
  onIdle: () => void,
): Promise<HolderServer> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      sockets.delete(socket)
      if (sockets.size === 0) onIdle()
    })
    serveConnection(socket, handlers)
  })
  // A socket file that nobody listens on is left by a holder that was killed; our caller owns the lock.
  rmSync(socketPath, { force: true })
  await withSocketPath(socketPath, (path) => listen(server, path))
  chmodSync(socketPath, 0o600)
  return {
    get connections() {
      return sockets.size
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
      rmSync(socketPath, { force: true })
    },
  }
}

const listen = (server: Server, path: string) =>
  new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path }, () => resolve())
  })

/** With more input than this on its way to a program, its peer is not read. */
const inputBytes = 1 << 20

// At the peer's pace: one that does not read waits for nobody but itself, and neither of its streams for the other.
async function forward(
  socket: Socket,
  stream: OutputStream,
  output: AsyncIterable<Uint8Array>,
  window: OutputWindow,
): Promise<void> {
  for await (const bytes of output) {
    for (let rest = bytes; rest.length > 0; ) {
      const part = await window.admit(rest)
      if (!part) return
      rest = rest.subarray(part.length)
      if (!socket.write(encodeFrame(stream, part)) && !socket.destroyed) await drained(socket)
    }
  }
  socket.write(encodeJson({ ended: stream } satisfies StreamNotice))
}

const drained = (socket: Socket) =>
  new Promise<void>((resolve) => {
    const done = () => {
      socket.off('drain', done).off('close', done)
      resolve()
    }
    socket.on('drain', done).on('close', done)
  })

function serveConnection(socket: Socket, handlers: HolderHandlers): void {
  const reader = new FrameReader()
  const reply = (message: HolderReply) => socket.write(encodeJson(message))
  let streams: HeldStreams | null = null
  let windows: Readonly<Record<OutputStream, OutputWindow>> | null = null
  let asked = false
  let answersInput = false

  const answer = async (request: HolderRequest) => {
    if (request.protocol > protocolVersion)
      throw holderErrors.error('newer_protocol', {
        message: `The request uses protocol ${request.protocol}; this holder (pid ${process.pid}) knows up to ${protocolVersion}. It ends when its containers have ended; then the newer version takes over.`,
      })
    answersInput = request.protocol >= 2
    if (request.op === 'start') await handlers.start(request.id)
    if (request.op === 'attach') {
      streams = await handlers.attach(request.id, request.stdin, request.replay ?? false)
      await serveOutput(streams.output, request.protocol >= 3 ? windowBytes : Number.POSITIVE_INFINITY)
      if (answersInput) socket.write(encodeFrame('over'))
    } else {
      reply({ ok: true, pid: process.pid })
    }
    socket.end()
  }

  const serveOutput = async (output: HeldStreams['output'], window: number) => {
    const { stdout, stderr } = { stdout: new OutputWindow(window), stderr: new OutputWindow(window) }
    windows = { stdout, stderr }
    const leave = () => {
      stdout.close()
      stderr.close()
      output[Symbol.dispose]()
    }
    // It may have gone away while it was waited for.
    if (socket.destroyed) return leave()
    socket.once('close', leave)
    reply({ ok: true, pid: process.pid })
    try {
      await Promise.all([
        forward(socket, 'stdout', output.stdout, stdout),
        forward(socket, 'stderr', output.stderr, stderr),
      ])
    } finally {
      leave()
    }
  }

  const obey = (order: StreamOrder) => {
    const window = windows?.[order.stream]
    if (order.op === 'widen') window?.widen(order.bytes)
    else window?.close()
  }

  let inputs: Promise<void> = Promise.resolve()
  let waiting = 0
  // One after the other, while orders go on being heard.
  const input = (bytes: number, work: () => Promise<void> | undefined) => {
    waiting += bytes
    if (waiting > inputBytes) socket.pause()
    inputs = inputs.then(work).then(() => {
      waiting -= bytes
      if (waiting <= inputBytes) socket.resume()
      if (answersInput && socket.writable) socket.write(encodeFrame('stdin-taken'))
    })
    inputs.catch(() => socket.destroy())
  }

  const take = ({ kind, payload }: Frame) => {
    if (!asked) {
      asked = true
      void answer(JSON.parse(payload.toString()) as HolderRequest).catch((error: unknown) => {
        reply({ ok: false, error: toWire(error) })
        socket.end()
      })
    } else if (kind === 'json') obey(JSON.parse(payload.toString()) as StreamOrder)
    else if (kind === 'stdin') input(payload.length, () => streams?.writeStdin?.(payload))
    else if (kind === 'stdin-end') input(0, () => streams?.endStdin?.())
  }

  socket.on('data', (chunk) => {
    try {
      for (const frame of reader.push(chunk)) take(frame)
    } catch {
      socket.destroy()
    }
  })
}
