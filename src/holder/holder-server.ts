import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { holderErrors } from '../errors/holder-errors.ts'
import { encodeFrame, encodeJson, FrameReader } from './frames.ts'
import { type HolderReply, type HolderRequest, protocolVersion, toWire } from './protocol.ts'
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
  attach(id: string, stdin: boolean): Promise<HeldStreams>
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

// At the peer's pace: one that does not read waits for nobody but itself.
async function forward(socket: Socket, stream: 'stdout' | 'stderr', output: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const bytes of output) {
    if (socket.destroyed) return
    if (!socket.write(encodeFrame(stream, bytes)))
      await new Promise<void>((resolve) => {
        socket.once('drain', resolve)
        socket.once('close', resolve)
      })
  }
}

function serveConnection(socket: Socket, handlers: HolderHandlers): void {
  const reader = new FrameReader()
  const reply = (message: HolderReply) => socket.write(encodeJson(message))
  let streams: HeldStreams | null = null
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
      streams = await handlers.attach(request.id, request.stdin)
      reply({ ok: true, pid: process.pid })
      const { output } = streams
      socket.once('close', () => output[Symbol.dispose]())
      await Promise.all([forward(socket, 'stdout', output.stdout), forward(socket, 'stderr', output.stderr)])
      if (answersInput) socket.write(encodeFrame('over'))
    } else {
      reply({ ok: true, pid: process.pid })
    }
    socket.end()
  }

  const taken = async (work: Promise<void> | undefined) => {
    await work
    if (answersInput && !socket.writableEnded) socket.write(encodeFrame('stdin-taken'))
  }

  const serve = async (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) {
      if (!asked) {
        asked = true
        void answer(JSON.parse(frame.payload.toString()) as HolderRequest).catch((error: unknown) => {
          reply({ ok: false, error: toWire(error) })
          socket.end()
        })
      } else if (frame.kind === 'stdin') await taken(streams?.writeStdin?.(frame.payload))
      else if (frame.kind === 'stdin-end') await taken(streams?.endStdin?.())
    }
  }
  let serving: Promise<void> = Promise.resolve()
  socket.on('data', (chunk) => {
    // Output of the program's own pace: the peer is not read while its last input is not taken.
    socket.pause()
    serving = serving
      .then(() => serve(chunk))
      .then(
        () => void socket.resume(),
        () => void socket.destroy(),
      )
  })
}
