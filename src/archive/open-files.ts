import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import type { ContentStore } from '../content/content-store.ts'
import { compressionHead, detectCompression } from '../content/detect-compression.ts'
import type { Lease } from '../content/lease.ts'
import { archiveErrors } from '../errors/archive-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { streamFrom } from '../host/path-streams.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { ProgressSink } from '../progress/progress-event.ts'
import type { ArchiveFiles } from './archive-files.ts'
import type { ArchiveLimits } from './archive-limits.ts'
import { LayoutDirectory } from './layout-directory.ts'
import type { StreamSource } from './source-bytes.ts'
import { spoolTar } from './spool-tar.ts'
import { TarCatalog } from './tar-catalog.ts'
import { tarEntries } from './tar-entries.ts'
import { TarFileInput } from './tar-input.ts'

/** A path, or bytes from anywhere. */
export type ArchiveSource = string | StreamSource

export interface OpenArchiveOptions extends CallOptions {
  readonly content: ContentStore
  /** Holds what a stream brings. */
  readonly lease: Lease
  readonly limits: ArchiveLimits
  readonly report: ProgressSink
}

export interface OpenFiles {
  readonly files: ArchiveFiles
  readonly form: 'directory' | 'file' | 'stream'
}

/**
 * Finds out what a source is. A directory and a plain tar file are read where they are; everything else goes through
 * once, its files straight into the content store.
 *
 * @throws `archive.not_found`, `archive.unreadable`, and what the readers throw
 */
export async function openFiles(source: ArchiveSource, options: OpenArchiveOptions): Promise<OpenFiles> {
  if (typeof source !== 'string') return { files: await spoolTar(source, options), form: 'stream' }
  try {
    const facts = await stat(source)
    if (facts.isDirectory()) return { files: new LayoutDirectory(await realpath(source)), form: 'directory' }
    if (!facts.isFile()) return { files: await spoolTar(streamFrom(source), options), form: 'stream' }
    const path = await realpath(source)
    const handle = await open(path, 'r')
    try {
      const plain = await isPlain(handle)
      if (plain) return { files: await catalogOf(handle, path, facts.size, options), form: 'file' }
    } finally {
      await handle.close()
    }
    const stream = streamFrom(path, { highWaterMark: 256 << 10 })
    return { files: await spoolTar(stream, options), form: 'stream' }
  } catch (error) {
    throw describeReadFailure(error, source)
  }
}

async function isPlain(handle: FileHandle): Promise<boolean> {
  const head = Buffer.alloc(compressionHead)
  const { bytesRead } = await handle.read(head, 0, compressionHead, 0)
  return detectCompression(head.subarray(0, bytesRead)) === 'none'
}

async function catalogOf(
  handle: FileHandle,
  path: string,
  size: number,
  options: OpenArchiveOptions,
): Promise<TarCatalog> {
  const catalog = new TarCatalog()
  for await (const entry of tarEntries(new TarFileInput(handle, size, options), options.limits, () => {
    catalog.mayBeCut = false
  }))
    await catalog.add(entry, async () => ({ kind: 'range', path, offset: entry.offset }))
  return catalog
}

function describeReadFailure(error: unknown, source: string): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (isEngineError(error) || code === undefined) return error
  const isMissing = code === 'ENOENT' || code === 'ENOTDIR'
  return archiveErrors.error(isMissing ? 'not_found' : 'unreadable', {
    message: isMissing
      ? `There is no archive at ${source}. Check the path.`
      : `The archive ${source} could not be read: ${(error as Error).message}.`,
    subject: { type: 'archive', id: source },
    cause: error,
  })
}
