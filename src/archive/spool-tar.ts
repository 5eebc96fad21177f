import { archiveErrors } from '../errors/archive-errors.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import { ByteMeter } from '../progress/byte-meter.ts'
import type { FileContent } from './archive-files.ts'
import { checkLimit } from './archive-limits.ts'
import { decompressed } from './compression.ts'
import type { OpenArchiveOptions } from './open-files.ts'
import { type StreamSource, sourceBytes } from './source-bytes.ts'
import { TarCatalog } from './tar-catalog.ts'
import { type TarEntry, tarEntries } from './tar-entries.ts'
import { TarStreamInput } from './tar-input.ts'

// Small files are metadata mostly: they stay in memory until it is known whether anybody needs them.
const smallFile = 64 << 10
const maxInMemory = 32 << 20

/**
 * Takes a tar that can be read once only: its files become blobs of the content store, under the lease, while they
 * pass.
 *
 * @throws `archive.*`, `content.full`, `call.aborted`
 */
export async function spoolTar(source: StreamSource, options: OpenArchiveOptions): Promise<TarCatalog> {
  const { limits } = options
  const catalog = new TarCatalog()
  const meter = new ByteMeter(options.report, 'archive', null)
  const bytes = sourceBytes(source)
  const input = new TarStreamInput(counted(bytes, meter), options)
  const plain = new TarStreamInput(decompressed(chunksOf(input), options), options)
  let total = 0
  let inMemory = 0
  let finished = false
  try {
    for await (const entry of tarEntries(plain, limits, () => {
      catalog.mayBeCut = false
    })) {
      total += entry.size
      checkLimit(limits, 'totalBytes', total, 'The size of the archive')
      await catalog.add(entry, async (name): Promise<FileContent> => {
        if (entry.size <= smallFile && inMemory + entry.size <= maxInMemory) {
          inMemory += entry.size
          const bytes = Buffer.from(await plain.read(entry.size))
          if (bytes.length < entry.size) throw truncated(name)
          return { kind: 'memory', bytes }
        }
        return { kind: 'blob', digest: await spoolFile(name, entry, plain, options) }
      })
    }
    await plain.drain((bytes) => {
      total += bytes
      checkLimit(limits, 'totalBytes', total, 'The size of the archive')
    })
    meter.flush()
    finished = true
    return catalog
  } finally {
    if (!finished) {
      plain.close()
      input.close()
      bytes.release()
    }
  }
}

async function spoolFile(
  name: string,
  entry: TarEntry,
  input: TarStreamInput,
  options: OpenArchiveOptions,
): Promise<Digest> {
  const promised = digestOfBlobPath(name)
  if (promised) {
    options.lease.addBlob(promised)
    // Our own copy is verified and of the right size: the archive's is passed over.
    if (options.content.stat(promised)?.size === entry.size) return promised
  }
  await using writer = await options.content.openWriter({
    lease: options.lease,
    expected: { size: entry.size, ...(promised ? { digest: promised } : {}) },
  })
  for await (const chunk of input.chunks(entry.size)) await writer.write(chunk)
  if (writer.size < entry.size) throw truncated(name)
  return (await writer.commit()).digest
}

/** The digest that a path of an OCI layout promises: `blobs/sha256/<hex>`. */
export function digestOfBlobPath(name: string): Digest | null {
  const [blobs, algorithm, hex, ...more] = name.split('/')
  const digest = `${algorithm}:${hex}`
  return blobs === 'blobs' && more.length === 0 && isDigest(digest) ? digest : null
}

async function* counted(source: AsyncIterable<Uint8Array>, meter: ByteMeter): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    meter.add(chunk.length)
    yield chunk
  }
}

/** All of an input whose reads can be aborted. */
async function* chunksOf(input: TarStreamInput): AsyncGenerator<Uint8Array> {
  yield* input.chunks(Number.POSITIVE_INFINITY)
}

const truncated = (name: string) =>
  archiveErrors.error('truncated', {
    message: `The archive ends in the middle of "${name}". Make or copy it again.`,
    subject: { type: 'file', id: name },
  })
