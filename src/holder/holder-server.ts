import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { holderErrors } from '../errors/holder-errors.ts'
import { encodeFrame, encodeJson, FrameReader } from './frames.ts'
import { type HolderReply, type HolderRequest, protocolVersion, toWire } from './protocol.ts'
import { withSocketPath } from './socket-path.ts'

/** Live streams that a holder hands to one attached peer. */
export interface HeldStreams {
  /** Called with output as it comes; returns a promise to make the source wait. */
  onOutput(listener: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void): () => void
  /** Null when the container has no standard input. */
  writeStdin: ((bytes: Uint8Array) => Promise<void>) | null
  endStdin: (() => void) | null
  readonly ended: Promise<unknown>
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

function serveConnection(socket: Socket, handlers: HolderHandlers): void {
  const reader = new FrameReader()
  const reply = (message: HolderReply) => socket.write(encodeJson(message))
  let streams: HeldStreams | null = null
  let asked = false

  const answer = async (request: HolderRequest) => {
    if (request.protocol > protocolVersion)
      throw holderErrors.error('newer_protocol', {
        message: `The request uses protocol ${request.protocol}; this holder (pid ${process.pid}) knows up to ${protocolVersion}. It ends when its containers have ended; then the newer version takes over.`,
      })
    if (request.op === 'start') await handlers.start(request.id)
    if (request.op === 'attach') {
      streams = await handlers.attach(request.id, request.stdin)
      reply({ ok: true, pid: process.pid })
      const stop = streams.onOutput((stream, bytes) => socket.write(encodeFrame(stream, bytes)))
      socket.once('close', stop)
      await streams.ended
    } else {
      reply({ ok: true, pid: process.pid })
    }
    socket.end()
  }

  const serve = async (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) {
      if (!asked) {
        asked = true
        void answer(JSON.parse(frame.payload.toString()) as HolderRequest).catch((error: unknown) => {
          reply({ ok: false, error: toWire(error) })
          socket.end()
        })
      } else if (frame.kind === 'stdin') await streams?.writeStdin?.(frame.payload)
      else if (frame.kind === 'stdin-end') streams?.endStdin?.()
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
