import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { contentErrors } from '../errors/content-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts'

// Writes of this size take folios of this size from the page cache: larger ones make a machine whose memory is slow to
// touch (a virtual one) slower, smaller ones cost calls.
const chunkSize = 256 << 10

export interface ReadBlobOptions extends CallOptions {
  /**
   * Takes turns with three buffers, which spares large blobs much memory: a piece is good until the second next one is
   * asked for. Default: each piece has its own.
   */
  readonly reuseBuffers?: boolean | undefined
}

/** Reads a blob file and hashes it on the way; the loop throws at its end when the bytes are not the digest's. */
export async function* readVerified(
  file: string,
  blob: { readonly digest: Digest; readonly size: number },
  options: ReadBlobOptions = {},
): AsyncGenerator<Uint8Array> {
  const handle = await openBlob(file, blob.digest)
  const buffers: Buffer[] = []
  let reading: Promise<Uint8Array> = Promise.resolve(new Uint8Array())
  const read = (position: number) => {
    const used = options.reuseBuffers && buffers.length === 3 ? buffers.shift()! : null
    const buffer = used ?? Buffer.allocUnsafeSlow(Math.min(chunkSize, Math.max(blob.size, 1)))
    if (options.reuseBuffers) buffers.push(buffer)
    reading = readPiece(handle, buffer, position)
    reading.catch(() => {})
    return reading
  }
  try {
    const hash = createHash(digestAlgorithm(blob.digest))
    let size = 0
    // The next piece is read while this one is hashed and used.
    let next = read(0)
    while (true) {
      throwIfAborted(options, 'Reading a blob')
      const chunk = await next
      if (chunk.length === 0) break
      size += chunk.length
      next = read(size)
      hash.update(chunk)
      yield chunk
    }
    if (size !== blob.size || hash.digest('hex') !== digestHex(blob.digest)) throw damaged(blob.digest, file)
  } finally {
    await reading.catch(() => {})
    await handle.close()
  }
}

async function readPiece(handle: FileHandle, buffer: Buffer, position: number): Promise<Uint8Array> {
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, position)
  return buffer.subarray(0, bytesRead)
}

async function openBlob(file: string, digest: Digest) {
  try {
    return await open(file, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw contentErrors.error('damaged', {
      message: `The stored blob ${digest} has vanished from ${file}. Load or pull its image again.`,
      subject: { type: 'blob', id: digest },
      cause: error,
    })
  }
}

const damaged = (digest: Digest, file: string) =>
  contentErrors.error('digest_mismatch', {
    message: `The stored blob ${digest} has changed on disk (${file}). Load or pull its image again, and look at the disk.`,
    subject: { type: 'blob', id: digest },
  })
