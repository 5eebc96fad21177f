import { pipeline, Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'
import { type FramePiece, ZstdFrames } from '../oci/zstd-frames.ts'

/**
 * Decompresses zstd with all of its frames: Node's own stream stops after the first one and says nothing, and
 * zstd:chunked layers and parallel compressors write many. Fails with the `code`s of node:zlib (`Z_BUF_ERROR` when the
 * data ends too early, `ZSTD_error_...` when they are damaged).
 */
export async function* unzstd(source: AsyncIterable<Uint8Array>, chunkSize = 256 << 10): AsyncGenerator<Buffer> {
  const pieces = framePieces(source)
  try {
    while (true) {
      const first = await pieces.next()
      if (first.done) return
      const filter = createZstdDecompress({ chunkSize })
      // An error of the source destroys the filter with it, so the loop reports it.
      pipeline(Readable.from(frameOf(first.value, pieces), { objectMode: false }), filter, () => {})
      for await (const chunk of filter) yield chunk as Buffer
    }
  } finally {
    await pieces.return(undefined)
  }
}

async function* frameOf(first: FramePiece, pieces: AsyncGenerator<FramePiece>): AsyncGenerator<Uint8Array> {
  yield first.bytes
  for (let last = first.last; !last; ) {
    const next = await pieces.next()
    if (next.done) return
    last = next.value.last
    if (next.value.bytes.length > 0) yield next.value.bytes
  }
}

async function* framePieces(source: AsyncIterable<Uint8Array>): AsyncGenerator<FramePiece> {
  const frames = new ZstdFrames()
  for await (const chunk of source) {
    try {
      yield* frames.push(chunk)
    } catch (error) {
      throw Object.assign(error as Error, { code: 'ZSTD_error_prefix_unknown' })
    }
  }
  if (!frames.complete) throw Object.assign(new Error('unexpected end of zstd data'), { code: 'Z_BUF_ERROR' })
}
