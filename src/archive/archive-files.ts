import { open } from 'node:fs/promises'
import type { ContentStore } from '../content/content-store.ts'
import { archiveErrors } from '../errors/archive-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'

/** Where the bytes of a file of an archive lie by now. */
export type FileContent =
  /** In the archive itself, or in a file of a layout directory. */
  | { readonly kind: 'range'; readonly path: string; readonly offset: number }
  /** In the content store: the archive was a stream. */
  | { readonly kind: 'blob'; readonly digest: Digest }
  /** Small files of a stream. */
  | { readonly kind: 'memory'; readonly bytes: Uint8Array }

export interface ArchiveFile {
  /** Cleaned path in the archive, links followed. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  readonly content: FileContent
}

/** The files of an archive of whatever form, by name. */
export interface ArchiveFiles {
  /** True when the end of the archive may be missing. */
  readonly mayBeCut: boolean
  /** Links are followed inside the archive only. Null when there is no such file. */
  find(name: string): Promise<ArchiveFile | null>
}

/** @throws `archive.missing_file` */
export async function requireFile(files: ArchiveFiles, name: string, why: string): Promise<ArchiveFile> {
  const file = await files.find(name)
  if (file) return file
  throw archiveErrors.error('missing_file', {
    message: `The archive does not hold "${name}", ${why}. Make it again.`,
    subject: { type: 'file', id: name },
  })
}

/** The bytes of a file; `length` of them when given. */
export async function readFileBytes(
  file: ArchiveFile,
  store: ContentStore,
  options: CallOptions & { readonly maxBytes: number; readonly length?: number },
): Promise<Uint8Array> {
  const wanted = Math.min(file.size, options.length ?? file.size)
  if (wanted > options.maxBytes)
    throw archiveErrors.error('limit', {
      message: `"${file.name}" has ${file.size} bytes, more than the limit "jsonBytes" of ${options.maxBytes}.`,
      subject: { type: 'file', id: file.name },
      details: { limit: 'jsonBytes', allowed: options.maxBytes, actual: file.size },
    })
  const { content } = file
  if (content.kind === 'memory') return content.bytes.subarray(0, wanted)
  if (content.kind === 'blob') {
    const path = store.fileOf(content.digest)
    // Whole blobs are verified again; a head is only looked at.
    return wanted === file.size ? store.readBytes(content.digest, options) : readRange(path, 0, wanted, file.name)
  }
  return readRange(content.path, content.offset, wanted, file.name)
}

/** @throws `archive.corrupt` when the file is not JSON */
export async function readFileJson(
  file: ArchiveFile,
  store: ContentStore,
  options: CallOptions & { readonly maxBytes: number },
): Promise<unknown> {
  const bytes = await readFileBytes(file, store, options)
  return parseJson(bytes, file.name)
}

/** @throws `archive.corrupt` */
export function parseJson(bytes: Uint8Array, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw archiveErrors.error('corrupt', {
      message: `"${name}" of the archive is not JSON: ${(error as Error).message}. Make or copy the archive again.`,
      subject: { type: 'file', id: name },
      cause: error,
    })
  }
}

async function readRange(path: string, offset: number, length: number, name: string): Promise<Buffer> {
  const handle = await open(path, 'r')
  try {
    const buffer = Buffer.alloc(length)
    for (let done = 0; done < length; ) {
      const { bytesRead } = await handle.read(buffer, done, length - done, offset + done)
      if (bytesRead === 0)
        throw archiveErrors.error('truncated', {
          message: `The archive ended while "${name}" was read. Make or copy it again.`,
          subject: { type: 'file', id: name },
        })
      done += bytesRead
    }
    return buffer
  } finally {
    await handle.close()
  }
}
