import { connect, type Socket } from 'node:net'
import type { SinkOptions } from './sink-options.ts'

/** Lines on their way to the collector: kept until the socket took them, sent again after a reconnect. */
export class CollectorConnection {
  readonly #options: SinkOptions
  readonly #waiting: string[] = []
  #socket: Socket | null = null
  #sending: Promise<void> | null = null

  constructor(options: SinkOptions) {
    this.#options = options
  }

  /** Queues lines; gives back how many of the oldest had to go because the buffer is full. */
  add(lines: readonly string[]): number {
    this.#waiting.push(...lines)
    return this.#waiting.splice(0, Math.max(0, this.#waiting.length - this.#options.buffer)).length
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Sends what waits. Rejects when the collector is not there; the lines stay. */
  send(): Promise<void> {
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = null
    })
    return this.#sending
  }

  close(): void {
    this.#socket?.destroy()
    this.#socket = null
  }

  async #drain(): Promise<void> {
    const socket = await this.#connected()
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, 1000)
      await new Promise<void>((resolve, reject) =>
        socket.write(batch.join(''), (error) => (error ? reject(error) : resolve())),
      )
      this.#waiting.splice(0, batch.length)
    }
  }

  async #connected(): Promise<Socket> {
    if (this.#socket && !this.#socket.destroyed) return this.#socket
    const socket = connect(this.#options.socket)
    // The log must not keep its process alive.
    socket.unref()
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    // Later errors show in the next write.
    socket.on('error', () => socket.destroy())
    this.#socket = socket
    return socket
  }
}
