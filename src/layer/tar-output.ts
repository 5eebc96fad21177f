import { createHash, type Hash } from 'node:crypto'
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { errnoOf } from '../errors/host-errors.ts'
import { layerErrors } from '../errors/layer-errors.ts'
import { EarlyWriteback } from '../host/early-writeback.ts'
import { waitWritable } from '../host/syscall/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { DiskWish } from './pack-tar.ts'
import type { TarEntry } from './tar-entry.ts'
import { blockSize } from './tar-header.ts'
import { encodeHeader, endOfTar, padding } from './tar-header-writer.ts'

// For larger writes the kernel takes large folios of memory that nobody has touched for long: in a virtual machine each
// of their pages is a fault of the host's, which costs twice the copying.
const bufferSize = 64 << 10
const progressStep = 8 << 20
/** A thread that waits for a reader looks up this often. */
const longestWaitMs = 20
// In the tree of a running container another kind of file may have taken the place of the one that was looked at.
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOATIME

export interface TarOutputOptions {
  /** Called now and then while nobody takes what is to be written; may throw. For descriptors that do not block. */
  readonly onWait?: (() => void) | undefined
  /** Bytes so far. */
  readonly onBytes?: ((bytes: number) => void) | undefined
  /** The descriptor is a file's: whether it is written back while it is made, and is on the disk after `finish`. */
  readonly disk?: DiskWish | undefined
  /** Computes the sha256 of all. */
  readonly digest?: boolean | undefined
}

/** Writes a tar to a descriptor, in large pieces. */
export class TarOutput {
  readonly #fd: number
  readonly #buffer = Buffer.allocUnsafeSlow(bufferSize)
  #used = 0
  readonly #block = Buffer.allocUnsafeSlow(blockSize)
  readonly #onWait: () => void
  readonly #onBytes: (bytes: number) => void
  #reported = 0
  readonly #writeback: EarlyWriteback | null
  readonly #durable: boolean
  readonly #hash: Hash | null
  /** Null before `finish`, and when nobody asked for it. */
  digest: Digest | null = null
  bytes = 0
  entries = 0
  /** Of regular files. */
  fileBytes = 0

  constructor(fd: number, options: TarOutputOptions = {}) {
    this.#fd = fd
    this.#onWait = options.onWait ?? (() => {})
    this.#onBytes = options.onBytes ?? (() => {})
    this.#durable = options.disk === 'durable'
    this.#writeback = this.#durable || options.disk === 'begun' ? new EarlyWriteback(fd) : null
    this.#hash = options.digest ? createHash('sha256') : null
  }

  /** Writes the entry, and for a file its content from `path`; false when that is gone by now. */
  add(entry: TarEntry, path: Buffer): boolean {
    const file = entry.type === 'file' && entry.size > 0 ? openPresent(path) : null
    if (file === undefined) return false
    try {
      this.addOpened(entry, file)
    } finally {
      if (file !== null) closeSync(file)
    }
    return true
  }

  /** The same with a file that is open already; null when the entry has no content. */
  addOpened(entry: TarEntry, file: number | null): void {
    this.entries++
    if (entry.type === 'file') this.fileBytes += entry.size
    this.#put(encodeHeader(entry, this.#block))
    if (file !== null && entry.size > 0) this.#content(file, entry.size)
  }

  finish(): void {
    this.#put(endOfTar)
    this.#flush()
    if (this.#hash) this.digest = `sha256:${this.#hash.digest('hex')}` as Digest
    if (this.#durable) this.#onDisk(() => fsyncSync(this.#fd))
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
    this.#onDisk(() => {
      for (let done = 0; done < this.#used; ) done += this.#write(done)
    })
    this.#hash?.update(this.#buffer.subarray(0, this.#used))
    this.#used = 0
    this.#writeback?.grownSync(this.bytes)
    if (this.bytes - this.#reported < progressStep) return
    this.#reported = this.bytes
    this.#onBytes(this.bytes)
  }

  #write(from: number): number {
    for (;;)
      try {
        return writeSync(this.#fd, this.#buffer, from, this.#used - from)
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN') throw error
        waitWritable(this.#fd, longestWaitMs)
        this.#onWait()
      }
  }

  // Some file systems find out only in fsync that there is no room.
  #onDisk(work: () => void): void {
    try {
      work()
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'ENOSPC' || code === 'EDQUOT')
        throw layerErrors.error('disk_full', {
          message: 'The disk became full while a tar was written. Free space and try again.',
          cause: error,
        })
      throw error
    }
  }
}

function openPresent(path: Buffer): number | undefined {
  const file = openToPack(path)
  if (file === undefined || fstatSync(file).isFile()) return file
  closeSync(file)
  return undefined
}

/** What is a file, or was one a moment ago; undefined when it is gone. */
export function openToPack(path: Buffer): number | undefined {
  try {
    return openSync(path, openFlags)
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}
