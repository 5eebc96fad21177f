import { mkdir, open, readdir, rename, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { syncDirectory } from '../content/blob-writer.ts'
import type { ContentStore } from '../content/content-store.ts'
import { archiveErrors } from '../errors/archive-errors.ts'
import { abortError } from '../errors/call-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { errnoOf } from '../errors/host-errors.ts'
import { draftBeside } from '../host/draft.ts'
import { EarlyWriteback } from '../host/early-writeback.ts'
import { streamTo } from '../host/path-streams.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { type BundleFile, bundleDirectories } from './bundle.ts'
import { tarBlock } from './tar-header.ts'
import { tarEnd, tarHeader, tarPadding } from './tar-writer.ts'
import { isCutOff } from './target-stream.ts'

export interface WriteBundleOptions extends CallOptions {
  readonly content: ContentStore
  readonly onBytes: (bytes: number) => void
}

/**
 * Writes the files as a tar to a stream, which is ended, or to a path, where it appears whole or not at all. Owners,
 * modes and times are fixed, so the same files give the same bytes. Blobs are verified on the way.
 *
 * @throws `archive.full`, `archive.write_failed`, `content.digest_mismatch`, `call.aborted`
 */
export async function writeBundleTar(
  files: readonly BundleFile[],
  target: string | Writable,
  options: WriteBundleOptions,
): Promise<void> {
  if (typeof target !== 'string')
    return streamTar(files, target, options).catch((error: unknown) => {
      throw describeStreamFailure(error)
    })
  const path = resolve(target)
  try {
    const facts = await stat(path).catch(() => null)
    // A pipe or device cannot be replaced by a rename.
    if (facts && !facts.isFile()) return await streamTar(files, await streamTo(path, options, 'Saving images'), options)
    await using draft = draftBeside(path)
    await writeChunks(tarChunks(files, options, true), draft.path, 0o644, options)
    await rename(draft.path, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    throw describeFailure(error, path)
  }
}

/**
 * Writes the files as a directory, which must be new or empty and appears whole or not at all.
 *
 * @throws `archive.target_exists`, and what `writeBundleTar` throws
 */
export async function writeBundleDirectory(
  files: readonly BundleFile[],
  target: string,
  options: WriteBundleOptions,
): Promise<void> {
  const path = resolve(target)
  try {
    const present = await readdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    if (present.length > 0)
      throw archiveErrors.error('target_exists', {
        message: `The directory ${path} is not empty. Name a new one for the OCI layout.`,
        subject: { type: 'directory', id: path },
      })
    await using draft = draftBeside(path)
    const inDraft = (name: string) => join(draft.path, name)
    await mkdir(draft.path, { mode: 0o755 })
    const directories = bundleDirectories(files)
    for (const directory of directories) await mkdir(inDraft(directory))
    for (const file of files) await writeChunks(bytesOf(file, options, true), inDraft(file.path), 0o644, options)
    for (const directory of [...directories, '.']) await syncDirectory(inDraft(directory))
    await rename(draft.path, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    throw describeFailure(error, path)
  }
}

/** The tar as it goes out. */
async function* tarChunks(
  files: readonly BundleFile[],
  options: WriteBundleOptions,
  reuseBuffers: boolean,
): AsyncGenerator<Uint8Array> {
  for (const directory of bundleDirectories(files)) yield tarHeader({ path: `${directory}/`, size: 0 })
  for (const file of files) {
    const size = 'bytes' in file ? file.bytes.length : file.size
    yield tarHeader({ path: file.path, size })
    yield* bytesOf(file, options, reuseBuffers)
    if (size % tarBlock !== 0) yield tarPadding(size)
  }
  yield tarEnd()
}

/** A device or another's stream: what has gone out cannot be taken back. */
async function streamTar(files: readonly BundleFile[], target: Writable, options: WriteBundleOptions): Promise<void> {
  const { signal } = options
  try {
    const chunks = Readable.from(tarChunks(files, options, false), { objectMode: false, highWaterMark: 1 << 20 })
    await pipeline(chunks, target, signal ? { signal } : {})
  } catch (error) {
    if (signal?.aborted && !isEngineError(error)) throw abortError(signal, 'Saving images')
    throw error
  }
}

/** The disk writes one chunk while the next one is read and hashed, and has little left to do for the last fsync. */
async function writeChunks(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  mode: number,
  call: CallOptions,
): Promise<void> {
  const handle = await open(path, 'wx', mode)
  const writeback = new EarlyWriteback(handle.fd)
  let size = 0
  const write = async (chunk: Uint8Array) => {
    for (let done = 0; done < chunk.length; )
      done += (await handle.write(chunk, done, chunk.length - done, size + done)).bytesWritten
    size += chunk.length
    writeback.grown(size)
  }
  try {
    let writing: Promise<void> = Promise.resolve()
    try {
      for await (const chunk of chunks) {
        await writing
        throwIfAborted(call, 'Saving images')
        writing = write(chunk)
        writing.catch(() => {})
      }
    } finally {
      await writing
    }
    throwIfAborted(call, 'Saving images')
    await handle.sync()
  } finally {
    await writeback.settled()
    await handle.close()
  }
}

async function* bytesOf(
  file: BundleFile,
  { content, onBytes, signal }: WriteBundleOptions,
  reuseBuffers: boolean,
): AsyncGenerator<Uint8Array> {
  if ('bytes' in file) {
    yield file.bytes
    return
  }
  for await (const chunk of content.openRead(file.digest, { signal, reuseBuffers })) {
    onBytes(chunk.length)
    yield chunk
  }
}

function describeFailure(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (isEngineError(error) || code === undefined) return error
  const isFull = isNoSpace(error)
  return archiveErrors.error(isFull ? 'full' : 'write_failed', {
    message: isFull
      ? `The disk of ${path} is full; nothing was left there. Free space, or write elsewhere.`
      : `The archive ${path} could not be written: ${(error as Error).message}. Nothing was left there.`,
    subject: { type: 'archive', id: path },
    cause: error,
  })
}

/** Errors that the owner of a stream made up pass; what Node and the kernel say of it is told in our terms. */
function describeStreamFailure(error: unknown): unknown {
  if (isEngineError(error) || !(isCutOff(error) || errnoOf(error) !== null)) return error
  const isFull = isNoSpace(error)
  return archiveErrors.error(isFull ? 'full' : 'write_failed', {
    message: isFull
      ? 'The disk that the stream writes to is full. Free space, or write elsewhere; drop what was written.'
      : `The stream did not take the whole archive: ${(error as Error).message}. Drop what was written, and save again.`,
    cause: error,
  })
}

const isNoSpace = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')
