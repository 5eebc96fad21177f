import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { contentErrors } from '../errors/content-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts'
import { describeWriteFailure } from './disk-failure.ts'

/** A stored blob. */
export interface Blob {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

/** What is known of a blob before its bytes have come. */
export interface ExpectedBlob {
  readonly digest?: Digest | undefined
  readonly size?: number | undefined
}

/** What a writer needs of its store. */
export interface BlobSink {
  readonly directory: string
  /** Records interest in the digest; true when the store has it whole. */
  announce(digest: Digest): boolean
  fileOf(digest: Digest): string
  record(blob: Blob): void
  /** Called when the writer ends without a commit, before it lets go of the file. */
  abandon(file: string): Promise<void>
}

export interface BlobWriterInit {
  readonly sink: BlobSink
  readonly file: string
  readonly handle: FileHandle
  readonly expected: ExpectedBlob
  readonly maxSize: number
  /** Told how many bytes of the file can be read; fewer than before when it begins anew. */
  readonly onGrowth?: ((path: string, bytes: number) => void) | undefined
}

const bufferSize = 1 << 20

/**
 * Takes the bytes of one blob, hashes them while the disk writes them, and makes them visible at `commit` only. Dispose
 * it in any case: without a commit nothing stays behind (or the partial does, when the ingest is resumable).
 */
export class BlobWriter implements AsyncDisposable {
  readonly #sink: BlobSink
  readonly #file: string
  readonly #handle: FileHandle
  readonly #expected: ExpectedBlob
  readonly #maxSize: number
  readonly #onGrowth: (bytes: number) => void
  #hash: Hash
  #size = 0
  #open = true
  /** Nobody could go on from what the file holds. */
  #worthless = false
  #filled: Blob | null = null

  constructor(init: BlobWriterInit) {
    this.#sink = init.sink
    this.#file = init.file
    this.#handle = init.handle
    this.#expected = init.expected
    this.#maxSize = init.maxSize
    this.#onGrowth = (bytes) => init.onGrowth?.(init.file, bytes)
    this.#hash = createHash(this.#algorithm)
  }

  /** Bytes taken so far; after a resumed start, those of the earlier attempt. */
  get size(): number {
    return this.#size
  }

  /** Takes what the file holds already: the hash state is not kept on disk, so it is made anew. */
  async resume(call?: CallOptions): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(bufferSize)
    while (true) {
      throwIfAborted(call, 'The ingest')
      const { bytesRead } = await this.#handle.read(buffer, 0, bufferSize, this.#size)
      if (bytesRead === 0) break
      this.#hash.update(buffer.subarray(0, bytesRead))
      this.#size += bytesRead
    }
    this.#onGrowth(this.#size)
  }

  /** Forgets everything taken so far; for sources that cannot go on in the middle. */
  async restart(): Promise<void> {
    await this.#handle.truncate(0)
    this.#hash = createHash(this.#algorithm)
    this.#size = 0
    this.#worthless = false
    this.#onGrowth(0)
  }

  /** Nothing of it is worth keeping when it ends without a commit. */
  drop(): void {
    this.#worthless = true
  }

  /**
   * @throws `content.full`, `content.size_mismatch` or `content.too_large` as soon as there are too many bytes
   */
  async write(chunk: Uint8Array): Promise<void> {
    const writing = this.#put(chunk)
    this.#hash.update(chunk)
    await writing
  }

  /** Takes `length` bytes of an open file. Reading, hashing and writing overlap. */
  async copyFrom(
    source: FileHandle,
    offset: number,
    length: number,
    options: CallOptions & { readonly onBytes?: ((bytes: number) => void) | undefined } = {},
  ): Promise<void> {
    const buffers = [Buffer.allocUnsafeSlow(bufferSize), Buffer.allocUnsafeSlow(bufferSize)]
    let writing: Promise<void> = Promise.resolve()
    try {
      for (let done = 0, turn = 0; done < length; turn ^= 1) {
        throwIfAborted(options, 'The ingest')
        const wanted = Math.min(bufferSize, length - done)
        const { bytesRead } = await source.read(buffers[turn]!, 0, wanted, offset + done)
        if (bytesRead === 0)
          throw contentErrors.error('size_mismatch', {
            message: `The source ended after ${done} of ${length} bytes.`,
            details: { expected: length, actual: done },
          })
        const chunk = buffers[turn]!.subarray(0, bytesRead)
        await writing
        writing = this.#put(chunk)
        writing.catch(() => {})
        this.#hash.update(chunk)
        done += bytesRead
        options.onBytes?.(bytesRead)
      }
    } finally {
      await writing
    }
  }

  /**
   * Lets trusted code of ours write the whole file through a descriptor and say what it wrote: the bytes are not hashed
   * once more. Nothing may have been written before.
   */
  async fill<Filled extends Blob>(write: (descriptor: number) => Promise<Filled>): Promise<Filled> {
    try {
      const filled = await write(this.#handle.fd)
      this.#filled = { digest: filled.digest, size: filled.size }
      this.#size = filled.size
      return filled
    } catch (error) {
      this.#worthless = true
      throw describeWriteFailure(error, 'A blob', this.#sink.directory)
    }
  }

  /**
   * Verifies, makes the blob durable and visible, and ends the writer. The blob is under the writer's lease.
   *
   * @throws `content.digest_mismatch`, `content.size_mismatch`, `content.full`
   */
  async commit(expected: ExpectedBlob = {}): Promise<Blob & { readonly reused: boolean }> {
    const digest = this.#filled?.digest ?? (`${this.#algorithm}:${this.#hash.digest('hex')}` as Digest)
    const blob = { digest, size: this.#size }
    for (const promise of [this.#expected, expected]) this.#verify(blob, promise)
    if (this.#sink.announce(digest)) {
      this.#worthless = true
      await this[Symbol.asyncDispose]()
      return { ...blob, reused: true }
    }
    const target = this.#sink.fileOf(digest)
    try {
      await this.#handle.sync()
      await rename(this.#file, target)
      await syncDirectory(dirname(target))
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw describeWriteFailure(error, `Blob ${digest}`, this.#sink.directory)
    }
    this.#sink.record(blob)
    this.#open = false
    // Last: who waits for the lock on it finds the record.
    await this.#handle.close()
    return { ...blob, reused: false }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return
    this.#open = false
    try {
      if (this.#worthless) await rm(this.#file, { force: true })
      else await this.#sink.abandon(this.#file)
    } finally {
      await this.#handle.close()
    }
  }

  get #algorithm(): 'sha256' | 'sha512' {
    return this.#expected.digest ? digestAlgorithm(this.#expected.digest) : 'sha256'
  }

  async #put(chunk: Uint8Array): Promise<void> {
    const start = this.#size
    const end = start + chunk.length
    if (this.#expected.size !== undefined && end > this.#expected.size) {
      this.#worthless = true
      throw sizeMismatch(this.#expected, end)
    }
    if (end > this.#maxSize) {
      this.#worthless = true
      throw contentErrors.error('too_large', {
        message: `The blob ${this.#expected.digest ?? ''} is larger than the limit of ${this.#maxSize} bytes.`,
        details: { limit: this.#maxSize },
      })
    }
    this.#size = end
    try {
      for (let done = 0; done < chunk.length; )
        done += (await this.#handle.write(chunk, done, chunk.length - done, start + done)).bytesWritten
      this.#onGrowth(end)
    } catch (error) {
      // A partial copy helps nobody on a full disk.
      this.#worthless = true
      throw describeWriteFailure(error, `Blob ${this.#expected.digest ?? ''}`.trim(), this.#sink.directory)
    }
  }

  #verify(blob: Blob, expected: ExpectedBlob): void {
    if (expected.size !== undefined && expected.size !== blob.size) throw sizeMismatch(expected, blob.size)
    if (expected.digest !== undefined && expected.digest !== blob.digest) {
      this.#worthless = true
      throw contentErrors.error('digest_mismatch', {
        message: `The bytes announced as ${expected.digest} are ${blob.digest} (sha256 ${digestHex(blob.digest).slice(0, 12)}, ${blob.size} bytes). The source is damaged; fetch it again.`,
        subject: { type: 'blob', id: expected.digest },
        details: { expected: expected.digest, actual: blob.digest },
      })
    }
  }
}

function sizeMismatch(expected: ExpectedBlob, actual: number) {
  return contentErrors.error('size_mismatch', {
    message: `The blob ${expected.digest ?? ''} has ${actual > expected.size! ? 'more than' : 'only'} ${Math.min(actual, expected.size!)} of the announced ${expected.size} bytes. Fetch it again.`,
    ...(expected.digest ? { subject: { type: 'blob', id: expected.digest } } : {}),
    details: { expected: expected.size, actual },
  })
}

/** Makes a rename in the directory durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
