import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { layerErrors } from '../errors/layer-errors.ts'
import type { TarEntry } from './tar-entry.ts'
import { encodeHeader, endOfTar, padding } from './tar-header-writer.ts'

const bufferSize = 1 << 20

/** Writes a tar to a blocking descriptor, in large pieces. */
export class TarOutput {
  readonly #fd: number
  readonly #buffer = Buffer.allocUnsafeSlow(bufferSize)
  #used = 0
  bytes = 0
  entries = 0

  constructor(fd: number) {
    this.#fd = fd
  }

  /** The entry, and for a file its content from `path`. */
  add(entry: TarEntry, path: Buffer): void {
    this.entries++
    this.#put(encodeHeader(entry))
    if (entry.type === 'file' && entry.size > 0) this.#content(path, entry)
  }

  finish(): void {
    this.#put(endOfTar)
    this.#flush()
  }

  // A file that shrinks while it is read is filled up with zeros, as tar does: the header has been written.
  #content(path: Buffer, entry: TarEntry): void {
    const file = openSync(path, 'r')
    try {
      let left = entry.size
      while (left > 0) {
        if (this.#used === bufferSize) this.#flush()
        const read = readSync(file, this.#buffer, this.#used, Math.min(left, bufferSize - this.#used), null)
        if (read === 0) break
        this.#used += read
        this.bytes += read
        left -= read
      }
      this.#zeros(left + padding(entry.size))
    } finally {
      closeSync(file)
    }
  }

  #zeros(count: number): void {
    for (let left = count; left > 0; ) {
      const some = Math.min(left, endOfTar.length)
      this.#put(endOfTar.subarray(0, some))
      left -= some
    }
  }

  #put(bytes: Buffer): void {
    this.bytes += bytes.length
    for (let done = 0; done < bytes.length; ) {
      if (this.#used === bufferSize) this.#flush()
      const some = bytes.copy(this.#buffer, this.#used, done)
      this.#used += some
      done += some
    }
  }

  #flush(): void {
    try {
      for (let done = 0; done < this.#used; ) done += writeSync(this.#fd, this.#buffer, done, this.#used - done)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC')
        throw layerErrors.error('disk_full', {
          message: 'The disk became full while a tar was written. Free space and try again.',
          cause: error,
        })
      throw error
    }
    this.#used = 0
  }
}
