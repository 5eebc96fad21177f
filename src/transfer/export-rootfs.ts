import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { callErrors } from '../errors/call-errors.ts'
import { fromNodeError } from '../errors/host-errors.ts'
import type { RootMount } from '../host/launcher.ts'
import { createPipe } from '../host/pipe.ts'
import { packTar } from '../layer/pack-tar.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { type Operation, startOperation } from '../progress/operation.ts'

/**
 * Writes a root file system as a tar, to a path (whole or not at all) or to a stream, which is ended.
 *
 * @throws `layer.*`, `host.*`, `call.aborted`
 */
export function exportRootfs(
  openTree: (signal: AbortSignal) => Promise<{ readonly tree: RootMount } & AsyncDisposable>,
  target: string | Writable | NodeJS.WritableStream,
  call?: CallOptions,
): Operation<void> {
  return startOperation(
    async ({ signal, report }) => {
      report({ type: 'stage', stage: 'write' })
      await using opened = await openTree(signal)
      const { tree } = opened
      if (typeof target === 'string') await toFile(tree, target, signal)
      else if (typeof target === 'object' && target !== null && 'write' in target) await toStream(tree, target, signal)
      else throw callErrors.error('bad_option', { message: 'Export takes a path or a writable stream as its target.' })
    },
    call,
    'Exporting a root file system',
  )
}

async function toFile(tree: RootMount, target: string, signal: AbortSignal): Promise<void> {
  const temporary = join(dirname(target), `.tscontainer-${randomBytes(6).toString('hex')}`)
  let fd: number
  try {
    fd = openSync(temporary, 'wx', 0o644)
  } catch (error) {
    throw fromNodeError(error, `Writing ${target}`)
  }
  try {
    try {
      await packTar({ kind: 'tree', tree }, fd, { signal })
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, target)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

async function toStream(tree: RootMount, target: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  const pipe = createPipe()
  const source = new Socket({ fd: pipe.read, readable: true, writable: false })
  const flowing = pipeline(source, target, { signal })
  flowing.catch(() => {})
  try {
    await Promise.race([packTar({ kind: 'tree', tree }, pipe.write, { signal }), flowing])
  } catch (error) {
    source.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  } finally {
    closeSync(pipe.write)
  }
  await flowing
}
