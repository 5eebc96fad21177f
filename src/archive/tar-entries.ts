import { archiveErrors } from '../errors/archive-errors.ts'
import { type ArchiveLimits, checkLimit } from './archive-limits.ts'
import { readPaxRecords, readTarHeader, tarBlock } from './tar-header.ts'
import type { TarInput } from './tar-input.ts'

export interface TarEntry {
  readonly type: 'file' | 'link' | 'symlink' | 'directory' | 'other'
  /** As written, long names resolved; not cleaned. */
  readonly path: string
  readonly link: string
  /** Bytes of the body. */
  readonly size: number
  /** Where the body starts in the tar. */
  readonly offset: number
}

// Names and pax records are kept in memory: a header that claims gigabytes is hostile.
const maxMetadata = 1 << 20

/**
 * The entries of a tar. The body of an entry may be read from the input before the loop goes on; what is left of it is
 * skipped.
 *
 * `onEndMark` is called when the tar ends as it should; some writers leave the mark out, so a missing one is no error.
 *
 * @throws `archive.corrupt`, `archive.truncated`, `archive.limit`
 */
export async function* tarEntries(
  input: TarInput,
  limits: ArchiveLimits,
  onEndMark: () => void,
): AsyncGenerator<TarEntry> {
  let path: string | null = null
  let link: string | null = null
  let size: number | null = null
  let count = 0
  while (true) {
    const at = input.offset
    const block = await input.read(tarBlock)
    if (block.length === 0) return
    if (block.length < tarBlock) throw truncated(at)
    const header = at === 0 ? readFirstHeader(block) : readTarHeader(block, at)
    if (!header) return onEndMark()
    const { type } = header
    checkLimit(limits, 'entries', ++count, 'The number of entries in the archive')
    if (type === 'pax' || type === 'pax-global' || type === 'long-path' || type === 'long-link') {
      const body = await readMetadata(input, header.size, at)
      if (type === 'pax') {
        const records = readPaxRecords(body, at)
        path = records.path ?? path
        link = records.link ?? link
        size = records.size ?? size
      } else if (type !== 'pax-global') {
        const text = body.toString('utf8').replace(/\0.*$/s, '')
        if (type === 'long-path') path = text
        else link = text
      }
      continue
    }
    const entry = {
      type,
      path: path ?? header.path,
      link: link ?? header.link,
      size: type === 'file' ? (size ?? header.size) : header.size,
      offset: input.offset,
    }
    path = link = size = null
    checkLimit(limits, 'pathLength', Buffer.byteLength(entry.path), 'The length of a path in the archive')
    yield entry
    const end = entry.offset + Math.ceil(entry.size / tarBlock) * tarBlock
    // Some writers leave out the padding at the very end, so only the body itself must be there.
    const body = entry.offset + entry.size
    if (input.offset < body && !(await input.skip(body - input.offset))) throw truncated(body)
    if (input.offset < end) await input.skip(end - input.offset)
  }
}

/** What does not begin like a tar is none, rather than a damaged one. */
function readFirstHeader(block: Buffer) {
  try {
    return readTarHeader(block, 0)
  } catch (error) {
    throw archiveErrors.error('not_an_archive', {
      message:
        'The source is no tar, neither plain nor compressed with gzip, bzip2, xz or zstd. Name an image archive.',
      cause: error,
    })
  }
}

async function readMetadata(input: TarInput, size: number, at: number): Promise<Buffer> {
  if (size > maxMetadata)
    throw archiveErrors.error('corrupt', {
      message: `The tar header at byte ${at} announces ${size} bytes of names; that is no honest archive.`,
      details: { offset: at },
    })
  const body = Buffer.from(await input.read(size))
  if (body.length < size) throw truncated(at)
  await input.skip((tarBlock - (size % tarBlock)) % tarBlock)
  return body
}

const truncated = (at: number) =>
  archiveErrors.error('truncated', {
    message: `The archive ends in the middle of an entry (near byte ${at}). Make or copy it again.`,
    details: { offset: at },
  })
