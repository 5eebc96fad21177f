import { readSync } from 'node:fs'
import { Socket } from 'node:net'
import { errnoOf } from '../errors/host-errors.ts'

export interface ByteSourceEvents {
  /** The bytes are the receiver's; they are never written to again. */
  onBytes(bytes: Buffer): void
  /** Once: at the end of the stream, or when reading failed. Not after `close`. */
  onEnd(error: Error | null): void
  /** Reading has to wait for something of this machine, such as room on the disk; called once per such time. */
  onStarved?(reason: unknown): void
}

/** One end of a pipe that bytes come from. */
export interface PipeSource {
  /** The descriptor is left unread: its pipe fills, and whoever writes to it waits. */
  pause(): void
  resume(): void
  /** Takes what the pipe holds at this moment, at most `limit` bytes; reading stops after it. */
  drain(limit: number): void
  /** Closes the descriptor; no event follows. */
  close(): void
}

const slabBytes = 65536
const smallestRead = 16384

/** Reads a pipe or FIFO as its bytes come, without a thread of the pool; owns the descriptor. */
export class ByteSource implements PipeSource {
  readonly #fd: number
  readonly #events: ByteSourceEvents
  readonly #socket: Socket
  #slab: Buffer = Buffer.allocUnsafeSlow(slabBytes)
  #used = 0
  #paused = false
  #finished = false

  constructor(fd: number, events: ByteSourceEvents) {
    this.#fd = fd
    this.#events = events
    // Entries are views of what was read, so every read goes to fresh memory; small reads share a slab.
    const onread = {
      buffer: () => this.#room(),
      callback: (length: number, room: Uint8Array) => {
        this.#used += length
        this.#events.onBytes(Buffer.from(room.buffer, room.byteOffset, length))
        return !this.#paused
      },
    }
    this.#socket = new Socket({ fd, readable: true, writable: false, onread })
    this.#socket.on('end', () => this.#finish(null))
    this.#socket.on('error', (error) => this.#finish(error))
    this.#socket.resume()
  }

  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    if (!this.#finished) this.#socket.resume()
  }

  drain(limit: number): void {
    if (this.#finished) return
    this.#socket.pause()
    for (let total = 0; total < limit; ) {
      // Not into the slab: the socket holds a piece of that for its next read.
      const bytes = Buffer.allocUnsafeSlow(slabBytes)
      const length = this.#readNow(bytes)
      if (length === 0) return
      total += length
      this.#events.onBytes(bytes.subarray(0, length))
    }
  }

  #readNow(bytes: Buffer): number {
    try {
      return readSync(this.#fd, bytes)
    } catch (error) {
      if (errnoOf(error) === 'EAGAIN') return 0
      throw error
    }
  }

  close(): void {
    this.#finished = true
    this.#socket.destroy()
  }

  #room(): Buffer {
    if (slabBytes - this.#used < smallestRead) {
      this.#slab = Buffer.allocUnsafeSlow(slabBytes)
      this.#used = 0
    }
    return this.#slab.subarray(this.#used)
  }

  #finish(error: Error | null): void {
    if (this.#finished) return
    this.close()
    this.#events.onEnd(error)
  }
}
