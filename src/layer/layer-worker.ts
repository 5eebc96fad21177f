import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { Readable } from 'node:stream'
import { parentPort, workerData } from 'node:worker_threads'
import { createGunzip } from 'node:zlib'
import { type Compression, compressionHead, detectCompression } from '../content/detect-compression.ts'
import { unzstd } from '../content/unzstd.ts'
import { layerErrors } from '../errors/layer-errors.ts'
import { ThreadStop } from '../host/thread-stop.ts'
import { confineThread } from './confine-thread.ts'
import type { ConfinedWorkerData } from './confined-worker.ts'
import { GrowingInput } from './growing-input.ts'
import type { LayerLimits } from './layer-limits.ts'
import type { LayerJob, LayerJobResult, LayerWorkerMessage } from './layer-worker-protocol.ts'
import { TarParser } from './tar-parser.ts'
import { TreeWriter } from './tree-writer.ts'
import { describeFailure } from './worker-failure.ts'

const { job, stop: shared } = workerData as ConfinedWorkerData<LayerJob>
const stop = new ThreadStop(shared)

const readSize = 2 << 20
const pieceSize = 256 << 10
// Not in the types: any option of a stream is one of zlib's too.
const inflateOptions = { chunkSize: 1 << 20, readableHighWaterMark: 4 << 20 }
const progressStep = 8 << 20

/**
 * Unpacks one layer. The thread first takes a mount namespace of its own (unshare(2): per thread on Linux), mounts the
 * target there and makes it its root: what it mounted is gone with it, and no path of the archive reaches anything else.
 * All modules are loaded by then, and the source is open.
 */
async function run(job: LayerJob): Promise<LayerJobResult> {
  using working = stop.begin()
  if (!working) stop.check()
  const fd = openSync(job.source.path, 'r')
  try {
    const growing = job.growing && parentPort ? new GrowingInput(parentPort, stop.check) : null
    confineThread([job.target], job.target.target)
    const start = Buffer.alloc(Math.min(compressionHead, job.source.length))
    await growing?.reaches(start.length)
    readSync(fd, start, 0, start.length, job.source.offset)
    return await apply(fd, job, detectCompression(start), growing)
  } finally {
    closeSync(fd)
  }
}

async function apply(
  fd: number,
  { source, limits }: LayerJob,
  compression: Compression,
  growing: GrowingInput | null,
): Promise<LayerJobResult> {
  const hash = createHash('sha256')
  const writer = new TreeWriter(limits, stop.check)
  const parser = new TarParser(writer, limits)
  const total = new SizeCheck(source.length, limits)
  const take = (chunk: Buffer) => {
    stop.check()
    total.add(chunk.length)
    hash.update(chunk)
    parser.push(chunk)
  }
  try {
    const input = growing ? growingPieces(fd, source, growing) : pieces(fd, source)
    if (compression !== 'none') await readCompressed(input, compression, take)
    else if (growing) for await (const piece of input) take(piece)
    else readPlain(fd, source, take)
    parser.finish()
    writer.finish()
  } finally {
    writer.close()
  }
  const { entries, fileBytes } = parser
  return { diffId: `sha256:${hash.digest('hex')}`, size: total.bytes, entries, fileBytes, compression }
}

function readPlain(fd: number, { offset, length }: LayerJob['source'], take: (chunk: Buffer) => void): void {
  const buffer = Buffer.allocUnsafeSlow(readSize)
  for (let at = 0; at < length; ) {
    const read = readSync(fd, buffer, 0, Math.min(readSize, length - at), offset + at)
    if (read === 0)
      throw layerErrors.error('truncated', {
        message: `The layer's file ends ${length - at} bytes early. Get it again.`,
      })
    take(buffer.subarray(0, read))
    at += read
  }
}

// Inflating runs in the pool of the process while this thread makes files.
async function readCompressed(
  source: Iterable<Buffer> | AsyncIterable<Buffer>,
  compression: Compression,
  take: (chunk: Buffer) => void,
): Promise<void> {
  if (compression !== 'gzip' && compression !== 'zstd')
    throw layerErrors.error('unsupported_entry', {
      message: `The layer is compressed with ${compression}; layers are plain, gzip or zstd. Unpack it first, or import it as a root file system.`,
    })
  const input = Readable.from(source, { objectMode: false })
  try {
    for await (const chunk of compression === 'gzip' ? gunzip(input) : unzstd(input, 1 << 20)) take(chunk)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'Z_BUF_ERROR')
      throw layerErrors.error('truncated', {
        message: 'The compressed layer ends in the middle. Get it again.',
        cause: error,
      })
    if (code?.startsWith('Z_') || code?.startsWith('ZSTD_'))
      throw layerErrors.error('bad_compression', {
        message: `The ${compression} stream of the layer is damaged (${code}). Get it again.`,
        cause: error,
      })
    throw error
  } finally {
    input.destroy()
  }
}

// Synchronous, so that no read is under way when the descriptor is closed and its number becomes another file's.
function* pieces(fd: number, { offset, length }: LayerJob['source']): Generator<Buffer> {
  for (let at = 0; at < length; ) {
    const piece = readPiece(fd, offset + at, length - at)
    if (piece.length === 0) return
    at += piece.length
    yield piece
  }
}

/** The same, never further than the file has come. */
async function* growingPieces(
  fd: number,
  { offset, length }: LayerJob['source'],
  growing: GrowingInput,
): AsyncGenerator<Buffer> {
  for (let at = 0; at < length; ) {
    await growing.reaches(at + 1)
    const piece = readPiece(fd, offset + at, Math.min(growing.available, length) - at)
    if (piece.length === 0)
      throw layerErrors.error('truncated', { message: 'The file of the layer has become shorter.' })
    at += piece.length
    yield piece
  }
}

function readPiece(fd: number, position: number, most: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(Math.min(pieceSize, most))
  return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, position))
}

function gunzip(input: Readable): AsyncIterable<Buffer> {
  const inflate = createGunzip(inflateOptions)
  input.on('error', (error) => inflate.destroy(error))
  return input.pipe(inflate)
}

class SizeCheck {
  bytes = 0
  #reported = 0
  readonly #packed: number
  readonly #limits: LayerLimits

  constructor(packed: number, limits: LayerLimits) {
    this.#packed = packed
    this.#limits = limits
  }

  add(bytes: number): void {
    this.bytes += bytes
    if (this.bytes > this.#limits.totalBytes) throw this.#exceeded('size', this.#limits.totalBytes)
    if (this.bytes > 64 << 20 && this.bytes > this.#packed * this.#limits.expansion)
      throw this.#exceeded('expansion (uncompressed by compressed bytes)', this.#limits.expansion)
    if (this.bytes - this.#reported < progressStep) return
    this.#reported = this.bytes
    post({ type: 'progress', bytes: this.bytes })
  }

  #exceeded(what: string, limit: number) {
    return layerErrors.error('limit_exceeded', {
      message: `The layer's ${what} exceeds the limit of ${limit} after ${this.bytes} bytes. Raise it if you trust the source.`,
      details: { limit },
    })
  }
}

const post = (message: LayerWorkerMessage) => parentPort?.postMessage(message)

run(job!).then(
  (result) => post({ type: 'done', result }),
  (error: unknown) => post({ type: 'failed', failure: describeFailure(error, 'a layer was unpacked') }),
)
