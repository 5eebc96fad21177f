import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** Stands between a client and a registry, and spoils what it is told to. */
export class FaultyProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #target: string
  readonly host: string
  /** Breaks the connection of a blob after so many bytes of its body. */
  cutAfter: number | null = null
  /** Sends nothing more of a blob after so many bytes, and keeps the connection. */
  stallAfter: number | null = null
  /** Waits so long after each piece (64 KiB) of a blob. Milliseconds. */
  pauseMs = 0
  /** Sends blobs from their beginning, whatever was asked for. */
  ignoreRanges = false
  /** Changes one byte of each blob that is a layer. */
  corrupt = false
  /** Given instead of the next answers to anything but a greeting. */
  readonly answers: number[] = []
  cuts = 0
  /** Bytes of blobs. */
  sent = 0
  readonly #serving = new Set<Promise<void>>()

  private constructor(server: Server, target: string) {
    this.#server = server
    this.#target = target
    const address = server.address()
    if (typeof address !== 'object' || address === null) throw new Error('not listening')
    this.host = `127.0.0.1:${address.port}`
  }

  static async start(target: string): Promise<FaultyProxy> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new FaultyProxy(server, target)
    server.on('request', (incoming, outgoing) => {
      const serving = proxy.#serve(incoming, outgoing).catch(() => void outgoing.destroy())
      proxy.#serving.add(serving)
      void serving.finally(() => proxy.#serving.delete(serving))
    })
    return proxy
  }

  /** Waits until nothing is being sent: after a client's death it notices only at the next piece. */
  async idle(): Promise<void> {
    while (this.#serving.size > 0) await Promise.all(this.#serving)
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/', headers } = incoming
    const gone = new AbortController()
    outgoing.once('close', () => gone.abort())
    const fault = this.answers.shift()
    if (fault !== undefined) {
      outgoing
        .writeHead(fault, { 'content-type': 'application/json' })
        .end('{"errors":[{"code":"X","message":"on purpose"}]}')
      return
    }
    const onwardHeaders = { ...headers, host: this.#target }
    if (this.ignoreRanges) delete onwardHeaders.range
    const onward = request(`http://${this.#target}${url}`, { method, headers: onwardHeaders })
    onward.on('error', () => outgoing.destroy())
    gone.signal.addEventListener('abort', () => onward.destroy())
    incoming.pipe(onward)
    const [answer] = (await once(onward, 'response', { signal: gone.signal })) as [IncomingMessage]
    outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
    if (method !== 'GET' || !url.includes('/blobs/')) {
      answer.pipe(outgoing)
      return
    }
    let bytes = 0
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const limit = this.cutAfter ?? this.stallAfter ?? Number.POSITIVE_INFINITY
      const part = chunk.subarray(0, Math.max(0, limit - bytes))
      if (this.corrupt && bytes === 0 && part.length > 10_000) part[5000]! ^= 1
      bytes += part.length
      this.sent += part.length
      if (part.length > 0 && !outgoing.write(part)) await once(outgoing, 'drain', { signal: gone.signal })
      if (outgoing.destroyed) return
      if (this.pauseMs > 0) await sleep(this.pauseMs)
      if (part.length < chunk.length) {
        if (this.cutAfter === null) return
        this.cuts++
        // What was written first goes out.
        setTimeout(() => outgoing.destroy(), 5)
        return
      }
    }
    outgoing.end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
