import { createReadStream, createWriteStream, statSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { errnoOf } from '../errors/host-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { openFifo } from './pipe.ts'

// A thread of libuv's pool that opens, reads or writes a FIFO waits for the other end: nothing can call it back, not even
// the end of the process, and four of them are the whole pool. Hence no streams of `fs` for these.

const askAgainMs = 5

/** What a path names, as a stream. Of a FIFO it ends when its writers have gone; the first one is waited for. */
export function streamFrom(path: string, options?: { readonly highWaterMark: number }): Readable {
  if (!isFifo(path)) return createReadStream(path, options)
  return new Socket({ fd: openFifo(path, 'read'), readable: true, writable: false })
}

/**
 * Writes to what a path names; nothing is there to wait for but the reader of a FIFO.
 *
 * @throws `call.aborted` while there is none
 */
export async function streamTo(path: string, call: CallOptions, what: string): Promise<Writable> {
  if (!isFifo(path)) return createWriteStream(path)
  while (true) {
    throwIfAborted(call, what)
    try {
      return new Socket({ fd: openFifo(path, 'write'), readable: false, writable: true })
    } catch (error) {
      // The kernel tells of no reader's coming to somebody who has not opened it.
      if (errnoOf(error) !== 'ENXIO') throw error
    }
    await sleep(askAgainMs, undefined, { signal: call.signal }).catch(() => {})
  }
}

/** What cannot be looked at is left to the stream to report. */
function isFifo(path: string): boolean {
  try {
    return statSync(path).isFIFO()
  } catch {
    return false
  }
}
