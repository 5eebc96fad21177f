import { closeSync, openSync, renameSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { checkTarget, isCutOff } from '../archive/target-stream.ts'
import { fromNodeError, hostErrors } from '../errors/host-errors.ts'
import { draftBeside } from '../host/draft.ts'
import { streamTo } from '../host/path-streams.ts'
import { createPipe, setPipeCapacity } from '../host/pipe.ts'
import { setNonBlocking } from '../host/syscall/descriptor.ts'
import { packTar, type RunningSubject, type TreeSubject } from '../layer/pack-tar.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { type Operation, startOperation } from '../progress/operation.ts'

/** Mounts, or the root of what runs. */
export type ExportedTree = TreeSubject | RunningSubject

/**
 * Writes a root file system as a tar, to a path (whole or not at all) or to a stream, which is ended.
 *
 * @throws `layer.*`, `host.*`, `call.bad_option`, `call.aborted`
 */
export function exportRootfs(
  openTree: (signal: AbortSignal) => Promise<{ readonly tree: ExportedTree } & AsyncDisposable>,
  target: string | Writable | NodeJS.WritableStream,
  call?: CallOptions,
): Operation<void> {
  return startOperation(
    async ({ signal, report }) => {
      checkTarget('container.exportRootfs', target)
      report({ type: 'stage', stage: 'write' })
      await using opened = await openTree(signal)
      const { tree } = opened
      if (typeof target === 'string') await toFile(tree, target, signal)
      else
        await toStream(tree, target, signal).catch((error: unknown) => {
          throw describeStreamFailure(error)
        })
    },
    call,
    what,
  )
}

const what = 'Exporting a root file system'

async function toFile(tree: ExportedTree, path: string, signal: AbortSignal): Promise<void> {
  const target = resolve(path)
  try {
    const present = statSync(target, { throwIfNoEntry: false })
    // A pipe or device cannot be replaced by a rename.
    if (present && !present.isFile() && !present.isDirectory())
      return await toStream(tree, await streamTo(target, { signal }, what), signal)
    await using draft = draftBeside(target)
    // It holds what only its owner may read, such as /etc/shadow.
    const fd = openSync(draft.path, 'wx', 0o600)
    try {
      await packTar(tree, fd, { signal, disk: 'durable' })
    } finally {
      closeSync(fd)
    }
    throwIfAborted({ signal }, what)
    renameSync(draft.path, target)
  } catch (error) {
    throw fromNodeError(error, `Writing ${target}`)
  }
}

/** Errors that the owner of a stream made up pass; what Node and the kernel say of it is told in our terms. */
function describeStreamFailure(error: unknown): unknown {
  if (!isCutOff(error)) return fromNodeError(error, 'Writing the root file system to the stream')
  return hostErrors.error('unavailable', {
    message: 'The stream was destroyed or ended before it had the whole root file system. Drop it, and export again.',
    cause: error,
  })
}

const pipeBytes = 1 << 20

async function toStream(tree: ExportedTree, target: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  const pipe = createPipe()
  setPipeCapacity(pipe.write, pipeBytes)
  // So that the thread that writes can be told to stop while nobody reads.
  setNonBlocking(pipe.write, true)
  const source = new Socket({ fd: pipe.read, readable: true, writable: false })
  const flowing = pipeline(source, target, { signal })
  // A target that was destroyed before leaves the pipe open, and the packing thread would wait for a reader.
  flowing.catch(() => source.destroy())
  const packing = pack(tree, pipe.write, source, signal)
  const [packed, flowed] = await Promise.allSettled([packing, flowing])
  // When one end fails the other does so for want of it.
  if (packed.status === 'rejected' && (signal.aborted || flowed.status === 'fulfilled')) throw packed.reason
  if (flowed.status === 'rejected') throw flowed.reason
}

async function pack(tree: ExportedTree, output: number, source: Socket, signal: AbortSignal): Promise<void> {
  try {
    await packTar(tree, output, { signal })
  } catch (error) {
    // Before the pipe's end, which would look like the tar's.
    source.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  } finally {
    closeSync(output)
  }
}
