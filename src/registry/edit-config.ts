import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isEngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import { lockHandle } from '../host/file-lock.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { type DockerConfig, readConfig } from './docker-config.ts'

type Auths = NonNullable<DockerConfig['auths']>

const lockMs = 5000

/**
 * Changes the logins in config.json; all else in it stays. Our processes take turns by a lock of its directory, which
 * leaves no file behind; what others write meanwhile is seen and the change is made anew upon it.
 *
 * @throws `registry.credentials_not_stored`, `registry.bad_credentials_file`, `call.aborted`
 */
export async function editConfig(file: string, change: (auths: Auths) => Auths, call?: CallOptions): Promise<void> {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    const target = statSync(file, { throwIfNoEntry: false }) ? realpathSync(file) : file
    await using _turn = await lockDirectory(dirname(target), call)
    while (!tryEdit(target, change)) throwIfAborted(call, `Changing ${file}`)
  } catch (error) {
    if (isEngineError(error) || !(error as NodeJS.ErrnoException).code) throw error
    throw registryErrors.error('credentials_not_stored', {
      message: `${file} could not be written (${(error as NodeJS.ErrnoException).code}). ${registryErrors.codes.credentials_not_stored.help}`,
      details: { file },
      cause: error,
    })
  }
}

/** Some file systems lock no directories, and a stopped process holds its lock: then only what is seen counts. */
async function lockDirectory(directory: string, call?: CallOptions): Promise<FileHandle> {
  const handle = await open(directory, 'r')
  try {
    for (const end = performance.now() + lockMs; performance.now() < end && !mayGoOn(handle); await sleep(5))
      throwIfAborted(call, `Waiting for the lock of ${directory}`)
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

function mayGoOn(handle: FileHandle): boolean {
  try {
    return lockHandle(handle)
  } catch {
    return true
  }
}

/** False when the file was changed meanwhile. */
function tryEdit(target: string, change: (auths: Auths) => Auths): boolean {
  const before = stamp(target)
  const config = readConfig(target) ?? {}
  const text = `${JSON.stringify({ ...config, auths: change(config.auths ?? {}) }, null, '\t')}\n`
  return replace(target, text, () => stamp(target) === before)
}

/** Says whether a file is still the same. */
function stamp(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false, bigint: true })
  return found ? `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : ''
}

/** Whole or not at all, readable by its owner alone. */
function replace(target: string, text: string, isSame: () => boolean): boolean {
  const before = statSync(target, { throwIfNoEntry: false })
  const draft = `${target}.${process.pid}.new`
  // Of a process of the same number that was killed here.
  rmSync(draft, { force: true })
  try {
    const fd = openSync(draft, 'wx', 0o600)
    try {
      writeFileSync(fd, text)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    // Whatever the umask; and root who logs in for somebody does not take the file away from them.
    chmodSync(draft, 0o600)
    if (before && process.getuid?.() === 0) chownSync(draft, before.uid, before.gid)
    if (isSame()) {
      renameSync(draft, target)
      return true
    }
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
  rmSync(draft, { force: true })
  return false
}
