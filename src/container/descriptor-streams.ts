import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { type Readable, Writable } from 'node:stream'
import { StdinWriter } from './stdin-writer.ts'

/** Reads a pipe to its end without holding a thread of the pool; the stream closes the descriptor. */
export function readableFrom(descriptor: number): Readable {
  return new Socket({ fd: descriptor, readable: true, writable: false })
}

/** Writes to a pipe; a reader that is gone is no error. The stream closes the descriptor. */
export function writableTo(descriptor: number): Writable {
  const writer = new StdinWriter(reopenNonBlocking(descriptor))
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => void writer.write(chunk).then(() => done(), done),
    final: (done) => void writer.end().then(() => done(), done),
    destroy: (error, done) => void writer.end().then(() => done(error), done),
  })
}

/** A write to a full pipe must answer EAGAIN instead of holding a thread of the pool. */
export function reopenNonBlocking(descriptor: number): number {
  const reopened = openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK)
  closeSync(descriptor)
  return reopened
}
