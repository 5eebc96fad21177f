import type { Socket } from 'node:net'
import { Writable } from 'node:stream'
import { encodeFrame } from './frames.ts'

const frameBytes = 65536

/** The standard input of a program whose holder is at the other end of a socket. */
export class RemoteInput {
  readonly stream: Writable
  readonly #socket: Socket
  /** How many answers are out, and who waits for the last of them. */
  #waiting = 0
  #done: ((error?: Error | null) => void) | null = null
  #closed: { readonly error: Error | null } | null = null

  constructor(socket: Socket) {
    this.#socket = socket
    this.stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        const frames: Buffer[] = []
        for (let at = 0; at < chunk.length; at += frameBytes)
          frames.push(encodeFrame('stdin', chunk.subarray(at, at + frameBytes)))
        this.#send(frames, done)
      },
      final: (done) => this.#send([encodeFrame('stdin-end')], done),
    })
  }

  /** The holder has answered one frame. */
  taken(): void {
    this.#waiting--
    if (this.#waiting === 0) this.#settle(null)
  }

  /** Nobody answers any more; `error` says why when that was not to be. */
  close(error: Error | null): void {
    if (this.#closed) return
    this.#closed = { error }
    this.#settle(error)
    this.stream.destroy()
  }

  // A stream has one write under way at a time.
  #send(frames: readonly Buffer[], done: (error?: Error | null) => void): void {
    if (this.#closed || frames.length === 0) return done(this.#closed?.error)
    this.#waiting = frames.length
    this.#done = done
    for (const frame of frames) this.#socket.write(frame)
  }

  #settle(error: Error | null): void {
    const done = this.#done
    this.#done = null
    done?.(error)
  }
}
