import { realpathSync, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { lockHandle } from './file-lock.ts'
import { replaceFile } from './replace-file.ts'

const lockMs = 5000

export interface EditUserFileOptions extends CallOptions {
  /** `private`: for its owner alone, whatever it was. `shared`: as it was, and a new one as the umask says. */
  readonly access: 'private' | 'shared'
}

/**
 * Changes a file of the user's to the text that `make` gives, which reads what is there. A symbolic link stays one, and so
 * does its owner. Our processes take turns by a lock of its directory, which leaves no file behind; what others write
 * meanwhile is seen, and the change is made anew upon it. The new text is on the disk, whole or not at all.
 *
 * @throws what the system says (`code`), `call.aborted`
 */
export async function editUserFile(
  file: string,
  make: () => string,
  { access, ...call }: EditUserFileOptions,
): Promise<void> {
  const target = statSync(file, { throwIfNoEntry: false }) ? realpathSync(file) : file
  await using _turn = await lockDirectory(dirname(target), call)
  while (!tryEdit(target, make, access)) throwIfAborted(call, `Changing ${file}`)
}

/** Some file systems lock no directories, and a stopped process holds its lock: then only what is seen counts. */
async function lockDirectory(directory: string, call: CallOptions): Promise<FileHandle> {
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
function tryEdit(target: string, make: () => string, access: EditUserFileOptions['access']): boolean {
  const before = statSync(target, { throwIfNoEntry: false, bigint: true })
  const stamp = stampOf(target)
  return replaceFile(target, make(), {
    synced: true,
    draft: `${target}.${process.pid}.new`,
    createMode: access === 'private' ? 0o600 : 0o666,
    mode: access === 'private' ? 0o600 : before ? Number(before.mode & 0o777n) : null,
    // Root who works for somebody does not take the file away from them.
    owner: before && process.getuid?.() === 0 ? { uid: Number(before.uid), gid: Number(before.gid) } : null,
    mayReplace: () => stampOf(target) === stamp,
  })
}

/** Says whether a file is still the same. */
function stampOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false, bigint: true })
  return found ? `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : ''
}
