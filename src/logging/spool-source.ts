import { closeSync, readSync } from 'node:fs'
import { errnoOf } from '../errors/host-errors.ts'
import { movePipeToFile, whenReadable } from '../host/pipe-to-file.ts'
import type { ByteSourceEvents, PipeSource } from './byte-source.ts'
import { type SpoolFile, spoolBytes } from './spool-file.ts'

const readBytes = 65536
/** Taken before others get their turn. */
const turnBytes = 1 << 20
const retryMs = 100

/** Reads a FIFO by way of a spool file; see `SpoolFile`. Owns both. */
export class SpoolSource implements PipeSource {
  readonly #fd: number
  readonly #events: ByteSourceEvents
  #spool: SpoolFile
  /** How far into the spool bytes have been handed on. */
  #given: number
  #wait: { cancel(): void } | null = null
  #paused = false
  #closed = false
  #starved = false

  /** Bytes of the spool before `given` are in the log; the others are handed on by `recover`. */
  constructor(fd: number, spool: SpoolFile, given: number, events: ByteSourceEvents) {
    this.#fd = fd
    this.#spool = spool
    this.#given = given
    this.#events = events
    this.#arm()
  }

  /** How far into the spool bytes have been handed on. */
  get given(): number {
    return this.#given
  }

  /** Hands on what a dead process had taken from the pipe and not stored. */
  recover(): void {
    this.#giveAll()
  }

  /** The log holds all bytes before `offset`, in entries up to `sequence`. Gives by how much offsets have shrunk. */
  stored(sequence: number, offset: number): number {
    if (this.#closed || offset < spoolBytes) return 0
    try {
      this.#spool = this.#spool.renew(sequence, offset)
    } catch {
      // No room for a second file: the spool grows on, and the next entries try again.
      return 0
    }
    this.#given -= offset
    return offset
  }

  pause(): void {
    this.#paused = true
    this.#disarm()
  }

  resume(): void {
    this.#paused = false
    this.#arm()
  }

  drain(limit: number): void {
    this.#disarm()
    for (let total = 0; total < limit && !this.#closed; ) {
      const moved = this.#drainOnce()
      if (!moved) return
      total += moved
    }
  }

  #drainOnce(): number | null {
    try {
      return this.#take()
    } catch (error) {
      // At the end of a container there is no waiting for room on the disk: past the spool, then.
      if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') throw error
      return this.#takeDirectly()
    }
  }

  #takeDirectly(): number {
    const bytes = Buffer.allocUnsafeSlow(readBytes)
    try {
      const length = readSync(this.#fd, bytes)
      if (length > 0) this.#events.onBytes(bytes.subarray(0, length))
      return length
    } catch (error) {
      if (errnoOf(error) === 'EAGAIN') return 0
      throw error
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#disarm()
    this.#spool.close()
    closeSync(this.#fd)
  }

  /** When all is in the log. */
  discard(): void {
    this.#spool.remove()
  }

  /** Moves once from the pipe to the spool and hands that on; null at the end of the pipe. */
  #take(): number | null {
    const moved = movePipeToFile(this.#fd, this.#spool.fd, this.#spool.size, turnBytes)
    this.#spool.size += moved ?? 0
    this.#giveAll()
    return moved
  }

  #giveAll(): void {
    while (this.#given < this.#spool.size && !this.#closed) {
      const bytes = Buffer.allocUnsafeSlow(Math.min(readBytes, this.#spool.size - this.#given))
      const length = this.#spool.read(this.#given, bytes)
      if (length === 0) return
      this.#given += length
      this.#events.onBytes(bytes.subarray(0, length))
    }
  }

  #arm(): void {
    if (this.#wait || this.#paused || this.#closed) return
    const wait = whenReadable(this.#fd)
    this.#wait = wait
    void wait.ready.then(() => {
      if (this.#wait !== wait) return
      this.#wait = null
      this.#turn()
    })
  }

  #disarm(): void {
    this.#wait?.cancel()
    this.#wait = null
  }

  #turn(): void {
    try {
      const moved = this.#take()
      this.#starved = false
      if (moved === null) this.#end(null)
      else this.#arm()
    } catch (error) {
      if (errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT') this.#starve(error)
      else this.#end(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** No room for the spool: the container waits at its full pipe, and nothing is lost. */
  #starve(error: unknown): void {
    if (!this.#starved) this.#events.onStarved?.(error)
    this.#starved = true
    const timer = setTimeout(() => {
      this.#wait = null
      this.#arm()
    }, retryMs)
    this.#wait = { cancel: () => clearTimeout(timer) }
  }

  #end(error: Error | null): void {
    this.close()
    this.#events.onEnd(error)
  }
}
