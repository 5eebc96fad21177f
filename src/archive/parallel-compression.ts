import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import { constants, crc32, deflateRaw, zstdCompress } from 'node:zlib'
import type { LayerCompression } from '../oci/layer-types.ts'

// Large enough that the blocks compress as well as the whole, small enough that several are under way.
const gzipBlock = 256 << 10
const zstdBlock = 4 << 20
/** How far back deflate refers. */
const windowSize = 32 << 10

const deflate = promisify<Uint8Array, object, Buffer>(deflateRaw)
const zstd = promisify<Uint8Array, object, Buffer>(zstdCompress)

/** gzip's header without name and time, so that the same bytes always give the same. Source: RFC 1952. */
const gzipHeader = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])
/** An empty last block of deflate. */
const lastBlock = Buffer.from([0x03, 0x00])

/** Compresses a stream on all processors. The same bytes give the same result with the same version of Node. */
export function compressed(
  source: AsyncIterable<Uint8Array>,
  compression: Exclude<LayerCompression, 'none'>,
): AsyncGenerator<Uint8Array> {
  return compression === 'gzip' ? gzipped(source) : zstandard(source)
}

/** A frame for each block. Source: RFC 8878, 3.1. */
async function* zstandard(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let frames = 0
  const frame = (block: Uint8Array) => {
    frames++
    return zstd(block, {})
  }
  yield* inParallel(blocksOf(source, zstdBlock), frame)
  // Nothing at all is no frame, and so no zstd.
  if (frames === 0) yield await frame(new Uint8Array(0))
}

/** One member, in blocks that each know what came before them, as pigz makes it. */
async function* gzipped(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let checksum = 0
  let size = 0
  let before: Uint8Array | null = null
  yield gzipHeader
  yield* inParallel(blocksOf(source, gzipBlock), (block) => {
    checksum = crc32(block, checksum)
    size += block.length
    const dictionary = before?.subarray(Math.max(0, before.length - windowSize))
    before = block
    return deflate(block, { finishFlush: constants.Z_SYNC_FLUSH, ...(dictionary ? { dictionary } : {}) })
  })
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(checksum, 0)
  trailer.writeUInt32LE(size % 2 ** 32, 4)
  yield lastBlock
  yield trailer
}

/** The results in the order of the blocks, with as many under way as there are processors. */
async function* inParallel(
  blocks: AsyncIterable<Uint8Array>,
  work: (block: Uint8Array) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const most = availableParallelism() + 1
  const running: Promise<Uint8Array>[] = []
  try {
    for await (const block of blocks) {
      const started = work(block)
      started.catch(() => {})
      running.push(started)
      if (running.length >= most) yield running.shift()!
    }
    while (running.length > 0) yield running.shift()!
  } finally {
    await Promise.allSettled(running)
  }
}

/** Whole blocks, and at the end what is left. */
async function* blocksOf(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let block = Buffer.allocUnsafeSlow(size)
  let used = 0
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const some = Math.min(chunk.length - at, size - used)
      block.set(chunk.subarray(at, at + some), used)
      at += some
      used += some
      if (used < size) continue
      yield block
      block = Buffer.allocUnsafeSlow(size)
      used = 0
    }
  }
  if (used > 0) yield block.subarray(0, used)
}
