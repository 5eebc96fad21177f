import { type ChildProcess, spawn } from 'node:child_process'
import { close, closeSync, constants, fstatSync, openSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { isEngineError } from '../errors/engine-error.ts'
import { errnoOf, fromNodeError, hostErrors } from '../errors/host-errors.ts'
import type { LaunchRequest, RootMount } from './launcher.ts'
import { LauncherNamespaces } from './launcher-namespaces.ts'
import type { LauncherCall, LauncherReply, LauncherResult, SentError } from './launcher-protocol.ts'
import { missingProgram } from './missing-program.ts'
import { mountRoot } from './mount-root.ts'
import type { NetnsPlan } from './netns-plan.ts'
import { O_PATH } from './syscall/file.ts'
import { MNT_DETACH, UMOUNT_NOFOLLOW, umount2 } from './syscall/mount.ts'
import { gettid } from './syscall/namespace.ts'

// The entry of the launcher's worker thread. Everything here is synchronous where it touches mounts: libuv's pool
// threads live in the host's namespaces, only this thread does not.

const port = parentPort
if (!port) throw new TypeError('launcher-thread runs as a worker thread only')
const send = (reply: LauncherReply) => port.postMessage(reply)

let entered: LauncherNamespaces | null = null
function namespaces(): LauncherNamespaces {
  entered ??= new LauncherNamespaces()
  return entered
}

const programs = new Map<number, ChildProcess>()
/** Mounted trees by lease, with a descriptor of the topmost root. */
const leases = new Map<number, { readonly target: string; readonly fd: number; readonly count: number }>()

function launch(id: number, request: LaunchRequest): Promise<LauncherResult> {
  const child = namespaces().inOwnNamespace(() => {
    if (request.root) mountRoot(request.root)
    return spawn(request.file, request.args, {
      env: request.env,
      cwd: request.cwd,
      stdio: [...request.stdio],
      detached: request.session === 'own',
    })
  })
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(startFailure(request, error)))
    if (child.pid === undefined) return
    programs.set(id, child)
    child.once('exit', (code, signal) => {
      programs.delete(id)
      send({ id, exit: { code, signal } })
    })
    resolve({ pid: child.pid })
  })
}

function startFailure(request: LaunchRequest, error: Error): unknown {
  if (errnoOf(error) === 'ENOENT') return missingProgram(request.file, error, request.cwd)
  return fromNodeError(error, `Starting ${request.file}`)
}

function mountLease(id: number, root: RootMount): LauncherResult {
  if ([...leases.values()].some((lease) => lease.target === root.target))
    throw hostErrors.error('busy', {
      message: `Something is mounted on ${root.target} already. Dispose its lease first, or use another directory.`,
      subject: { type: 'path', id: root.target },
    })
  namespaces()
  mountRoot(root)
  try {
    const fd = openSync(root.target, O_PATH | constants.O_DIRECTORY)
    leases.set(id, { target: root.target, fd, count: root.mounts.length })
  } catch (error) {
    for (const _ of root.mounts) umount2(root.target, MNT_DETACH)
    throw fromNodeError(error)
  }
  return { path: `/proc/${process.pid}/task/${gettid()}/root${root.target}` }
}

/**
 * Detaches the tree at once and drops the last hold on it in a pool thread: unmounting an overlay writes back the whole
 * file system below it, which can take seconds and must not stop other launches.
 */
function unmountLease(lease: number): Promise<LauncherResult> {
  const held = leases.get(lease)
  if (!held) return Promise.resolve(null)
  leases.delete(lease)
  for (let left = held.count; left > 0; left--) umount2(held.target, MNT_DETACH | UMOUNT_NOFOLLOW)
  return new Promise((resolve) => close(held.fd, () => resolve(null)))
}

async function createNetns(plan: NetnsPlan): Promise<LauncherResult> {
  const { createNetnsSync } = await import('./netns.ts')
  const fd = createNetnsSync(plan)
  try {
    return { fd, inode: fstatSync(fd).ino }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function answer(call: LauncherCall): LauncherResult | Promise<LauncherResult> {
  switch (call.verb) {
    case 'launch':
      return launch(call.id, call.request)
    case 'mount':
      return mountLease(call.id, call.root)
    case 'unmount':
      return unmountLease(call.lease)
    case 'netns':
      return createNetns(call.plan)
    case 'prepare':
      namespaces()
      return null
    default:
      return null
  }
}

function sendable(error: unknown): SentError {
  if (isEngineError(error)) {
    const { kind, code, message, subject, retryable, details, stack } = error
    return { kind, code, message, subject: subject ?? undefined, retryable, details, stack }
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  return { kind: 'internal', code: 'host.syscall_failed', message: `The launcher thread failed: ${message}`, stack }
}

/** Mounts and namespaces go with the thread and its descriptors; programs live on. */
function leave(): never {
  for (const { fd } of leases.values()) closeSync(fd)
  entered?.close()
  process.exit(0)
}

port.on('message', async (call: LauncherCall) => {
  if (call.verb === 'kill') {
    programs.get(call.id)?.kill('SIGKILL')
    return
  }
  try {
    const result = answer(call)
    // Not awaited when it is there already: each turn costs latency.
    send({ id: call.id, result: result instanceof Promise ? await result : result })
  } catch (error) {
    send({ id: call.id, error: sendable(error) })
  }
  if (call.verb === 'close') leave()
})
