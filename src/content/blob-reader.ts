import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { contentErrors } from '../errors/content-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts'

const chunkSize = 512 << 10

/** Reads a blob file and hashes it on the way; the loop throws at its end when the bytes are not the digest's. */
export async function* readVerified(
  file: string,
  blob: { readonly digest: Digest; readonly size: number },
  call: CallOptions = {},
): AsyncGenerator<Uint8Array> {
  const handle = await openBlob(file, blob.digest)
  let reading: Promise<Uint8Array> | null = null
  try {
    const hash = createHash(digestAlgorithm(blob.digest))
    let size = 0
    // The next piece is read while this one is hashed and used.
    reading = readPiece(handle, 0)
    reading.catch(() => {})
    while (true) {
      throwIfAborted(call, 'Reading a blob')
      const chunk = await reading
      if (chunk.length === 0) break
      size += chunk.length
      reading = readPiece(handle, size)
      reading.catch(() => {})
      hash.update(chunk)
      yield chunk
    }
    if (size !== blob.size || hash.digest('hex') !== digestHex(blob.digest)) throw damaged(blob.digest, file)
  } finally {
    await reading?.catch(() => {})
    await handle.close()
  }
}

async function readPiece(handle: FileHandle, position: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(chunkSize)
  const { bytesRead } = await handle.read(buffer, 0, chunkSize, position)
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
