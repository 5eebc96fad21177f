import { type Duplex, pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { type Compression, compressionHead, detectCompression } from '../content/detect-compression.ts'
import { unzstd } from '../content/unzstd.ts'
import { archiveErrors } from '../errors/archive-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { filterCommand } from '../host/filter-command.ts'
import type { CallOptions } from '../lifetime/call-options.ts'

/**
 * Yields what a stream holds, uncompressed; recognises gzip, zstd, bzip2 and xz by content and passes others through.
 * bzip2 and xz need the program of that name.
 *
 * @throws `host.program_missing`, `archive.truncated`, `archive.corrupt`
 */
export async function* decompressed(
  source: AsyncIterable<Uint8Array>,
  call: CallOptions = {},
): AsyncGenerator<Uint8Array> {
  const { head, all } = await peek(source, compressionHead)
  const compression = detectCompression(head)
  try {
    if (compression === 'none') yield* all
    else if (compression === 'bzip2' || compression === 'xz') yield* filterCommand(compression, ['-dc'], all, call)
    else if (compression === 'gzip') yield* through(createGunzip(filterOptions), all)
    else yield* unzstd(all)
  } catch (error) {
    throw compression === 'none' ? error : describeFailure(error, compression)
  } finally {
    // Whoever was to read it may have failed before. Not awaited: a generator that stalls in next() would never answer.
    all.return().catch(() => {})
  }
}

const filterOptions = { chunkSize: 256 << 10 }

async function* through(filter: Duplex, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // An error of the source destroys the filter with it, so the loop below reports it.
  pipeline(Readable.from(source, { objectMode: false }), filter, () => {})
  for await (const chunk of filter) yield chunk as Buffer
}

function describeFailure(error: unknown, compression: Compression): unknown {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const isProgram = isEngineError(error, { code: 'host.program_failed' })
  if (isEngineError(error) && !isProgram) return error
  if (!isProgram && !/^(Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB|ERR_STREAM)/.test(code)) return error
  const isEnd =
    /unexpected end|end of file|truncat|ends unexpectedly/i.test((error as Error).message) || code === 'Z_BUF_ERROR'
  return isEnd ? truncated(compression, error) : corrupt(compression, error)
}

const truncated = (compression: Compression, cause?: unknown) =>
  archiveErrors.error('truncated', {
    message: `The ${compression} data ends too early. Make or copy the archive again.`,
    cause,
  })

const corrupt = (compression: Compression, cause: unknown) =>
  archiveErrors.error('corrupt', {
    message: `The ${compression} data is damaged: ${(cause as Error).message}. Make or copy the archive again.`,
    cause,
  })

interface Peeked {
  readonly head: Uint8Array
  /** To be returned when it is not read to its end, also when nothing of it is read. */
  readonly all: AsyncIterableIterator<Uint8Array, undefined> & {
    return(): Promise<IteratorResult<Uint8Array, undefined>>
  }
}

/** Looks at the first bytes of a stream without losing them. */
async function peek(source: AsyncIterable<Uint8Array>, length: number): Promise<Peeked> {
  const iterator = source[Symbol.asyncIterator]()
  const first: Uint8Array[] = []
  let size = 0
  let ended = false
  while (size < length && !ended) {
    const next = await iterator.next()
    if (next.done) ended = true
    else if (next.value.length > 0) {
      first.push(next.value)
      size += next.value.length
    }
  }
  // Not a generator: one that has not begun is ended without leaving what it reads.
  const all: Peeked['all'] = {
    next: async () => {
      const seen = first.shift()
      if (seen) return { done: false, value: seen }
      if (ended) return { done: true, value: undefined }
      const next = await iterator.next()
      if (!next.done) return next
      ended = true
      return { done: true, value: undefined }
    },
    return: async () => {
      first.length = 0
      if (!ended) {
        ended = true
        await iterator.return?.()
      }
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]: () => all,
  }
  return { head: first.length === 1 ? first[0]! : Buffer.concat(first), all }
}
