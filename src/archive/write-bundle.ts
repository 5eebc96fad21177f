import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Pack, pack } from 'tar-stream'
import { syncDirectory } from '../content/blob-writer.ts'
import type { ContentStore } from '../content/content-store.ts'
import { archiveErrors } from '../errors/archive-errors.ts'
import { abortError } from '../errors/call-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { type BundleFile, bundleDirectories } from './bundle.ts'

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
  if (typeof target !== 'string') return streamTar(files, target, options)
  const path = resolve(target)
  try {
    const facts = await stat(path).catch(() => null)
    // A pipe or device cannot be replaced by a rename.
    if (facts && !facts.isFile()) return await streamTar(files, createWriteStream(path), options)
    const draft = draftBeside(path)
    try {
      await streamTar(files, createWriteStream(draft, { flags: 'wx', highWaterMark: 1 << 20, flush: true }), options)
      await rename(draft, path)
    } catch (error) {
      await rm(draft, { force: true })
      throw error
    }
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
    const draft = draftBeside(path)
    try {
      await mkdir(draft, { mode: 0o755 })
      const directories = bundleDirectories(files)
      for (const directory of directories) await mkdir(join(draft, directory))
      for (const file of files) await writeOne(file, join(draft, file.path), options)
      for (const directory of [...directories, '.']) await syncDirectory(join(draft, directory))
      await rename(draft, path)
    } catch (error) {
      await rm(draft, { recursive: true, force: true })
      throw error
    }
    await syncDirectory(dirname(path))
  } catch (error) {
    throw describeFailure(error, path)
  }
}

const draftBeside = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.partial`)

async function streamTar(files: readonly BundleFile[], target: Writable, options: WriteBundleOptions): Promise<void> {
  const packer = pack({ highWaterMark: 1 << 20 })
  const filling = fill(packer, files, options).catch((error: unknown) => {
    packer.destroy(error as Error)
    throw error
  })
  try {
    const { signal } = options
    const [filled, written] = await Promise.allSettled([filling, pipeline(packer, target, signal ? { signal } : {})])
    // When the target fails, the packer is destroyed and with it the filling: the target's error is the cause.
    if (written.status === 'rejected' && !(filled.status === 'rejected' && isEngineError(filled.reason)))
      throw written.reason
    if (filled.status === 'rejected') throw filled.reason
  } catch (error) {
    if (options.signal?.aborted) throw abortError(options.signal, 'Saving images')
    throw error
  }
}

const epoch = new Date(0)

async function fill(packer: Pack, files: readonly BundleFile[], options: WriteBundleOptions): Promise<void> {
  for (const name of bundleDirectories(files))
    packer.entry({ name: `${name}/`, type: 'directory', mode: 0o755, mtime: epoch, uid: 0, gid: 0 })
  for (const file of files) {
    throwIfAborted(options, 'Saving images')
    const size = 'bytes' in file ? file.bytes.length : file.size
    const entry = packer.entry({ name: file.path, type: 'file', mode: 0o644, mtime: epoch, uid: 0, gid: 0, size })
    await pipeline(Readable.from(bytesOf(file, options)), entry)
  }
  packer.finalize()
}

async function* bytesOf(
  file: BundleFile,
  { content, onBytes, signal }: WriteBundleOptions,
): AsyncGenerator<Uint8Array> {
  if ('bytes' in file) {
    yield file.bytes
    return
  }
  for await (const chunk of content.openRead(file.digest, { signal })) {
    onBytes(chunk.length)
    yield chunk
  }
}

async function writeOne(file: BundleFile, path: string, options: WriteBundleOptions): Promise<void> {
  const handle = await open(path, 'wx', 0o644)
  try {
    for await (const chunk of bytesOf(file, options)) {
      throwIfAborted(options, 'Saving images')
      await handle.writeFile(chunk)
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function describeFailure(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (isEngineError(error) || code === undefined) return error
  const isFull = code === 'ENOSPC' || code === 'EDQUOT'
  return archiveErrors.error(isFull ? 'full' : 'write_failed', {
    message: isFull
      ? `The disk of ${path} is full; nothing was left there. Free space, or write elsewhere.`
      : `The archive ${path} could not be written: ${(error as Error).message}. Nothing was left there.`,
    subject: { type: 'archive', id: path },
    cause: error,
  })
}
