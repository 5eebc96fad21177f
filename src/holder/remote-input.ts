import type { Socket } from 'node:net'
import { Writable } from 'node:stream'
import { encodeFrame } from './frames.ts'

const frameBytes = 65536
/** So many frames are under way before the first of them is answered: orders about output must not wait behind input. */
const framesAhead = 4

/** The standard input of a program whose holder is at the other end of a socket. */
export class RemoteInput {
  readonly stream: Writable
  readonly #socket: Socket
  readonly #onWaits: () => void
  /** What is still to be sent of the write under way, how many answers are out, and who waits for the last of them. */
  #frames: Iterator<Buffer> = [].values()
  #waiting = 0
  #done: ((error?: Error | null) => void) | null = null
  #closed: { readonly error: Error | null } | null = null

  /** `onWaits` is called when a write begins or ceases to wait. */
  constructor(socket: Socket, onWaits: () => void) {
    this.#socket = socket
    this.#onWaits = onWaits
    this.stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => this.#send(framesOf(chunk), done),
      final: (done) => this.#send([encodeFrame('stdin-end')].values(), done),
    })
  }

  /** A write is under way. */
  get waits(): boolean {
    return this.#done !== null
  }

  /** The holder has answered one frame. */
  taken(): void {
    this.#waiting--
    this.#fill()
  }

  /** Nobody answers any more; `error` says why when that was not to be. */
  close(error: Error | null): void {
    if (this.#closed) return
    this.#closed = { error }
    this.#settle(error)
    this.stream.destroy()
  }

  // A stream has one write under way at a time.
  #send(frames: Iterator<Buffer>, done: (error?: Error | null) => void): void {
    if (this.#closed) return done(this.#closed.error)
    this.#frames = frames
    this.#done = done
    this.#onWaits()
    this.#fill()
  }

  #fill(): void {
    for (; this.#waiting < framesAhead; this.#waiting++) {
      const next = this.#frames.next()
      if (next.done) break
      this.#socket.write(next.value)
    }
    if (this.#waiting === 0) this.#settle(null)
  }

  #settle(error: Error | null): void {
    const done = this.#done
    if (!done) return
    this.#done = null
    this.#onWaits()
    done(error)
  }
}

function* framesOf(chunk: Buffer): Generator<Buffer, void> {
  for (let at = 0; at < chunk.length; at += frameBytes) yield encodeFrame('stdin', chunk.subarray(at, at + frameBytes))
}
