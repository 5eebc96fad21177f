import { Readable } from 'node:stream'
import { type EngineError, isEngineError } from '../errors/engine-error.ts'
import { fromNodeError } from '../errors/host-errors.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { Upload } from './blob-uploads.ts'
import type { RemoteRepository } from './remote-repository.ts'
import { asRetryable, retrying } from './retry.ts'

/** A blob that can be read from anywhere. */
export interface BlobToSend {
  readonly digest: Digest
  readonly size: number
  /** `length` bytes from `start` on. The stream is destroyed when it is not read to its end. */
  open(start: number, length: number): Readable
}

export interface SendBlobOptions extends CallOptions {
  /** An upload that has begun already. */
  readonly upload?: Upload | null | undefined
  /** Told how many bytes the registry has or was sent; after a broken attempt it may be less than before. */
  readonly onBytes?: ((bytes: number) => void) | undefined
}

/** Once something broke, no more than this is lost by the next break. */
const CAREFUL_CHUNK = 8 << 20
const LEAST_CHUNK = 1 << 20

/**
 * Brings one blob into a repository: whole, in one request, which every registry understands; in pieces when the endpoint
 * is configured so, when a request is refused as too large, and after a break. Each further attempt goes on where the
 * registry says that it stands.
 *
 * @throws `registry.*`, `call.aborted`
 */
export async function sendBlob(
  repository: RemoteRepository,
  blob: BlobToSend,
  options: SendBlobOptions,
): Promise<void> {
  const sending = new Sending(repository, blob, options)
  await retrying(`Sending ${blob.digest}`, () => sending.attempt(), {
    attempts: repository.uploads.attempts,
    signal: options.signal,
    progressed: () => sending.progressed(),
  })
}

class Sending {
  readonly #repository: RemoteRepository
  readonly #blob: BlobToSend
  readonly #options: SendBlobOptions
  #upload: Upload | null
  /** Bytes per piece; null: whole. */
  #chunk: number | null
  #isFirst = true
  #best = 0

  constructor(repository: RemoteRepository, blob: BlobToSend, options: SendBlobOptions) {
    this.#repository = repository
    this.#blob = blob
    this.#options = options
    this.#upload = options.upload ?? null
    this.#chunk = repository.endpoint.uploadChunkBytes
  }

  /** Whether the registry has more than before the attempt that failed. */
  progressed(): boolean {
    const offset = this.#upload?.offset ?? 0
    const further = offset >= this.#best + LEAST_CHUNK
    this.#best = Math.max(this.#best, offset)
    return further
  }

  async attempt(): Promise<void> {
    const { signal } = this.#options
    const { digest } = this.#blob
    const { uploads } = this.#repository
    if (!this.#isFirst) {
      // The answer may be all that was lost.
      if ((await this.#repository.blobSize(digest, { signal })) !== null) return
      this.#upload = this.#upload && (await uploads.look(this.#upload, digest, { signal }))
      this.#chunk ??= CAREFUL_CHUNK
    }
    this.#isFirst = false
    this.#upload ??= await uploads.start(digest, { signal })
    for (;;)
      try {
        await this.#send()
        return
      } catch (error) {
        if (!this.#makeSmaller(error)) throw this.#judge(error)
        this.#upload =
          (await uploads.look(this.#upload, digest, { signal })) ?? (await uploads.start(digest, { signal }))
      }
  }

  async #send(): Promise<void> {
    const { digest, size } = this.#blob
    const { signal } = this.#options
    const { uploads } = this.#repository
    let upload = this.#upload!
    if (upload.offset > size) upload = this.#upload = await uploads.start(digest, { signal })
    const chunk = this.#chunk === null ? null : Math.max(this.#chunk, upload.leastChunk)
    while (chunk !== null && size - upload.offset > chunk) {
      const { offset } = upload
      const next = await this.#reading(offset, chunk, (body) =>
        uploads.sendChunk(upload, digest, { length: chunk, body }, { signal }),
      )
      // Kept at once: it is what the next attempt asks about.
      upload = this.#upload = next
      if (next.offset <= offset || next.offset > size) throw this.#notTaken()
    }
    if (upload.offset === size) await uploads.finish(upload, this.#blob, null, { signal })
    else
      await this.#reading(upload.offset, size - upload.offset, (body) =>
        uploads.finish(upload, this.#blob, body, { signal }),
      )
  }

  async #reading<T>(start: number, length: number, work: (body: Readable) => Promise<T>): Promise<T> {
    const source = this.#blob.open(start, length)
    let broken: Error | null = null
    // Also while nobody reads yet.
    source.on('error', (error) => {
      broken = error
    })
    // A listener for its data would let it flow before anybody reads.
    const body = Readable.from(counted(source, start, this.#options.onBytes), { objectMode: false })
    try {
      return await work(body)
    } catch (error) {
      throw broken === null ? error : fromNodeError(broken)
    } finally {
      body.destroy()
      source.destroy()
    }
  }

  /** What stands between may take less than the registry does: true when smaller pieces are worth a try. */
  #makeSmaller(error: unknown): boolean {
    if (!isEngineError(error) || error.details['status'] !== 413) return false
    const next = Math.min(this.#chunk === null ? CAREFUL_CHUNK : this.#chunk / 4, this.#blob.size / 2)
    if (next < LEAST_CHUNK) return false
    this.#chunk = Math.floor(next)
    return true
  }

  /** An upload that the registry has lost or counts otherwise is begun anew by the next attempt. */
  #judge(error: unknown): unknown {
    if (!isEngineError(error)) return error
    const status = error.details['status']
    if (status !== 404 && status !== 416) return error
    this.#upload = null
    return asRetryable(error)
  }

  #notTaken(): EngineError {
    const { registry } = this.#repository.endpoint
    return registryErrors.error('bad_answer', {
      message: `Sending ${this.#blob.digest}: ${registry} took a piece and says that it has none of it.`,
      subject: { type: 'registry', id: registry },
      details: { registry },
    })
  }
}

async function* counted(
  source: Readable,
  start: number,
  tell: ((bytes: number) => void) | undefined,
): AsyncGenerator<Uint8Array> {
  let bytes = start
  for await (const chunk of source as AsyncIterable<Uint8Array>) {
    yield chunk
    bytes += chunk.length
    tell?.(bytes)
  }
}
