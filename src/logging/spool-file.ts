import { closeSync, constants, openSync, readdirSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { LogStream } from '../driver-kit/log-driver.ts'
import { fromNodeError } from '../errors/host-errors.ts'

/** A spool larger than this is begun anew as soon as may be. */
export const spoolBytes = 8 << 20

/**
 * What was taken from one stream of a container and is perhaps not yet in its log. Bytes go from the pipe into this file
 * inside the kernel, and from it into the log, so that a process that dies on the way loses none. The file's name has a
 * sequence number, its `base`: all entries of this stream after that number are made of this file's bytes, from the
 * first one on, and that says how far the log got.
 */
export class SpoolFile {
  readonly fd: number
  readonly base: number
  size: number
  readonly #directory: string
  readonly #stream: LogStream
  readonly #path: string

  private constructor(directory: string, stream: LogStream, base: number, fd: number, size: number) {
    this.#directory = directory
    this.#stream = stream
    this.#path = spoolPath(directory, stream, base)
    this.base = base
    this.fd = fd
    this.size = size
  }

  static create(directory: string, stream: LogStream, base: number): SpoolFile {
    try {
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC
      return new SpoolFile(directory, stream, base, openSync(spoolPath(directory, stream, base), flags, 0o600), 0)
    } catch (error) {
      throw fromNodeError(error, `making the spool of a container's ${stream}`)
    }
  }

  /** What a dead process left; null when it left nothing. */
  static find(directory: string, stream: LogStream): SpoolFile | null {
    const prefix = `${stream}.spool.`
    const bases: number[] = []
    for (const name of readdirSync(directory)) {
      if (!name.startsWith(prefix)) continue
      if (/^\d+$/.test(name.slice(prefix.length))) bases.push(Number(name.slice(prefix.length)))
      else rmSync(join(directory, name), { force: true })
    }
    bases.sort((a, b) => a - b)
    const newest = bases.pop()
    // A newer spool was given its name when the older one held nothing more that the log lacked.
    for (const base of bases) rmSync(spoolPath(directory, stream, base), { force: true })
    if (newest === undefined) return null
    const fd = openSync(spoolPath(directory, stream, newest), constants.O_RDWR)
    return new SpoolFile(directory, stream, newest, fd, statSync(spoolPath(directory, stream, newest)).size)
  }

  /** Bytes from `offset` on, as many as there are and `room` takes. */
  read(offset: number, room: Buffer): number {
    return readSync(this.fd, room, 0, Math.min(room.length, this.size - offset), offset)
  }

  /** A spool that begins with the bytes from `offset` on, in place of this one. */
  renew(base: number, offset: number): SpoolFile {
    const rest = Buffer.allocUnsafe(this.size - offset)
    for (let at = 0; at < rest.length; ) at += readSync(this.fd, rest, at, rest.length - at, offset + at)
    const path = spoolPath(this.#directory, this.#stream, base)
    const fd = openSync(`${path}.new`, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, 0o600)
    try {
      for (let at = 0; at < rest.length; ) at += writeSync(fd, rest, at, rest.length - at, at)
      renameSync(`${path}.new`, path)
    } catch (error) {
      closeSync(fd)
      rmSync(`${path}.new`, { force: true })
      throw error
    }
    if (base !== this.base) rmSync(this.#path, { force: true })
    closeSync(this.fd)
    return new SpoolFile(this.#directory, this.#stream, base, fd, rest.length)
  }

  close(): void {
    closeSync(this.fd)
  }

  remove(): void {
    rmSync(this.#path, { force: true })
  }
}

const spoolPath = (directory: string, stream: LogStream, base: number): string =>
  join(directory, `${stream}.spool.${base}`)
