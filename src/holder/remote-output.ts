import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { encodeJson } from './frames.ts'
import { type OutputStream, type StreamOrder, windowBytes } from './protocol.ts'

/** One output stream of a program whose holder is at the other end of a socket; what nobody reads is not asked for. */
export class RemoteOutput {
  readonly stream: Readable
  readonly #name: OutputStream
  readonly #socket: Socket
  readonly #onWaits: () => void
  /** Bytes that the holder may still send. */
  #window = windowBytes
  #waits = false
  #ended = false

  /** `onWaits` is called when a reader begins or ceases to wait. */
  constructor(name: OutputStream, socket: Socket, onWaits: () => void) {
    this.#name = name
    this.#socket = socket
    this.#onWaits = onWaits
    // Without a mark of its own it asks only for a reader: the window is what is kept ahead.
    this.stream = new Readable({
      highWaterMark: 0,
      read: () => this.#wait(),
      destroy: (error, done) => {
        if (!this.#ended) this.#order({ op: 'release', stream: name })
        this.#settle()
        done(error)
      },
    })
  }

  /** Somebody reads, and nothing is there. */
  get waits(): boolean {
    return this.#waits
  }

  push(bytes: Buffer): void {
    this.#window -= bytes.length
    this.#settle()
    if (!this.stream.destroyed) this.stream.push(bytes)
  }

  end(): void {
    this.#ended = true
    this.#settle()
    if (!this.stream.destroyed) this.stream.push(null)
  }

  /** Nothing more comes; `error` says why when that was not to be. What has ended before is still there to be read. */
  close(error: Error | null): void {
    if (this.#ended) return
    if (error) this.fail(error)
    else this.end()
  }

  fail(error: Error): void {
    // A stream that nobody reads has nobody to listen to its errors.
    if (this.stream.readableFlowing === null) this.stream.on('error', () => {})
    this.stream.destroy(error)
  }

  #wait(): void {
    this.#waits = true
    this.#onWaits()
    if (this.#window > windowBytes / 2) return
    this.#order({ op: 'widen', stream: this.#name, bytes: windowBytes - this.#window })
    this.#window = windowBytes
  }

  #settle(): void {
    if (!this.#waits) return
    this.#waits = false
    this.#onWaits()
  }

  #order(order: StreamOrder): void {
    if (this.#socket.writable) this.#socket.write(encodeJson(order))
  }
}
