import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { errnoOf } from '../errors/host-errors.ts'
import { layerErrors } from '../errors/layer-errors.ts'
import { EarlyWriteback } from '../host/early-writeback.ts'
import type { TarEntry } from './tar-entry.ts'
import { encodeHeader, endOfTar, padding } from './tar-header-writer.ts'

const bufferSize = 1 << 20
const progressStep = 8 << 20
// In the tree of a running container another kind of file may have taken the place of the one that was looked at.
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOATIME

/** Writes a tar to a blocking descriptor, in large pieces. */
export class TarOutput {
  readonly #fd: number
  readonly #buffer = Buffer.allocUnsafeSlow(bufferSize)
  #used = 0
  readonly #onBytes: (bytes: number) => void
  #reported = 0
  /** Null for what is no file. */
  readonly #writeback: EarlyWriteback | null
  bytes = 0
  entries = 0

  constructor(fd: number, onBytes: (bytes: number) => void = () => {}) {
    this.#fd = fd
    this.#onBytes = onBytes
    this.#writeback = fstatSync(fd).isFile() ? new EarlyWriteback(fd) : null
  }

  /** Writes the entry, and for a file its content from `path`; false when that is gone by now. */
  add(entry: TarEntry, path: Buffer): boolean {
    const file = entry.type === 'file' && entry.size > 0 ? openPresent(path) : null
    if (file === undefined) return false
    try {
      this.entries++
      this.#put(encodeHeader(entry))
      if (file !== null) this.#content(file, entry.size)
    } finally {
      if (file !== null) closeSync(file)
    }
    return true
  }

  finish(): void {
    this.#put(endOfTar)
    this.#flush()
  }

  // A file that shrinks while it is read is filled up with zeros, as tar does: the header has been written.
  #content(file: number, size: number): void {
    let left = size
    while (left > 0) {
      if (this.#used === bufferSize) this.#flush()
      const read = readSync(file, this.#buffer, this.#used, Math.min(left, bufferSize - this.#used), null)
      if (read === 0) break
      this.#used += read
      this.bytes += read
      left -= read
    }
    this.#zeros(left + padding(size))
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
    this.#writeback?.grownSync(this.bytes)
    if (this.bytes - this.#reported < progressStep) return
    this.#reported = this.bytes
    this.#onBytes(this.bytes)
  }
}

function openPresent(path: Buffer): number | undefined {
  let file: number
  try {
    file = openSync(path, openFlags)
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
  if (fstatSync(file).isFile()) return file
  closeSync(file)
  return undefined
}
