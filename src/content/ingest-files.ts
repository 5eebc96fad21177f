import { createHash, randomBytes } from 'node:crypto'
import { constants, readdirSync, rmSync, type Stats, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortError } from '../errors/call-errors.ts'
import { lockHandle, tryLock } from '../host/file-lock.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { Owners } from '../state/owners.ts'
import { describeWriteFailure } from './disk-failure.ts'

/** A file of `ingest/` that is ours alone, open for reading and writing. */
export interface IngestFile {
  readonly path: string
  readonly handle: FileHandle
}

export interface ClaimOptions extends CallOptions {
  /** Asked between attempts; true ends the waiting. */
  readonly arrived: () => boolean
  /** Told while somebody else writes: the file's size in bytes, whenever it has changed. */
  readonly onGrowth?: ((path: string, bytes: number) => void) | undefined
}

// As often as progress is worth telling; the kernel frees the lock of a dead process.
const longestPauseMs = 50
/** A holder whose file has not grown for so long is suspended or hangs: longer than a stalled connection is borne. */
const patienceMs = 90_000

/**
 * Names of the files in `ingest/`: `<owner>.<random>` for a blob of one process only, and `partial.<ref>` for one that
 * can be resumed. Who writes a partial holds its flock: another process, or another call, waits for it, and goes on
 * where the file ends when its writer fails or dies.
 */
export class IngestFiles {
  readonly #directory: string
  readonly #owner: string
  readonly #owners: Owners

  constructor(directory: string, owner: string, owners: Owners) {
    this.#directory = directory
    this.#owner = owner
    this.#owners = owners
  }

  /** A new name of ours; nothing is made. */
  fresh(): string {
    return join(this.#directory, `${this.#owner}.${randomBytes(8).toString('hex')}`)
  }

  /** @throws `content.full`, `content.write_failed` */
  async open(path: string): Promise<FileHandle> {
    try {
      return await open(path, constants.O_RDWR | constants.O_CREAT, 0o600)
    } catch (error) {
      throw describeWriteFailure(error, 'A blob', this.#directory)
    }
  }

  /**
   * Gives the partial of `ref`, an empty one when there is none, as soon as nobody else writes it; null when the blob
   * arrived meanwhile. Behind a writer that makes no headway, a file of our own.
   */
  async claim(ref: string, options: ClaimOptions): Promise<IngestFile | null> {
    const path = this.#partial(ref)
    const what = 'Waiting for a blob that somebody else fetches'
    let size = -1
    let grownAt = performance.now()
    for (let pause = 2; ; pause = Math.min(longestPauseMs, pause * 2)) {
      throwIfAborted(options, what)
      const handle = await this.#tryClaim(path)
      if (handle) return { path, handle }
      if (options.arrived()) return null
      const now = statSync(path, { throwIfNoEntry: false })?.size ?? size
      if (now !== size) {
        size = now
        grownAt = performance.now()
        options.onGrowth?.(path, size)
      } else if (performance.now() - grownAt > patienceMs) {
        const own = this.fresh()
        return { path: own, handle: await this.open(own) }
      }
      try {
        await sleep(pause, undefined, { signal: options.signal })
      } catch (error) {
        throw options.signal?.aborted ? abortError(options.signal, what) : error
      }
    }
  }

  /** Null when somebody else has it. */
  async #tryClaim(path: string): Promise<FileHandle | null> {
    while (true) {
      const handle = await this.open(path)
      try {
        if (!lockHandle(handle)) {
          await handle.close()
          return null
        }
        // Its last holder may have made it a blob or removed it before it let go.
        if ((await handle.stat()).ino === statSync(path, { throwIfNoEntry: false })?.ino) return handle
      } catch (error) {
        await handle.close()
        throw error
      }
      await handle.close()
    }
  }

  /** Removes the partial of `ref` unless somebody writes it. */
  drop(ref: string): void {
    const path = this.#partial(ref)
    if (!statSync(path, { throwIfNoEntry: false })) return
    using lock = tryLock(path)
    if (lock) rmSync(path, { force: true })
  }

  /** Removes what dead processes left and partials older than `maxAgeMs`; gives the bytes freed. */
  sweep(maxAgeMs: number): number {
    let freed = 0
    for (const name of readdirSync(this.#directory)) {
      const file = join(this.#directory, name)
      const owner = name.split('.')[0]!
      const facts = statSync(file, { throwIfNoEntry: false })
      if (!facts) continue
      if (owner === 'partial' ? Date.now() - facts.mtimeMs < maxAgeMs : this.#isInUse(owner)) continue
      if (owner === 'partial' && !this.#removePartial(file, facts)) continue
      rmSync(file, { force: true })
      freed += facts.size
    }
    return freed
  }

  /** False when somebody has it or has taken it up since it was looked at. */
  #removePartial(file: string, seen: Stats): boolean {
    using lock = tryLock(file)
    if (!lock) return false
    const now = statSync(file, { throwIfNoEntry: false })
    if (now?.ino !== seen.ino || now.mtimeMs !== seen.mtimeMs) return false
    rmSync(file, { force: true })
    return true
  }

  #partial(ref: string): string {
    return join(this.#directory, `partial.${refKey(ref)}`)
  }

  #isInUse(owner: string): boolean {
    return owner === this.#owner || this.#owners.isAlive(owner)
  }
}

const refKey = (ref: string): string => createHash('sha256').update(ref).digest('hex')
