import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { fromNodeError, hostErrors } from '../errors/host-errors.ts'
import type { ProcessExit } from './launcher.ts'
import { confiningRoots, leaveCgroups } from './leave-cgroup.ts'

export interface DetachedRequest {
  /** Absolute path of the program. */
  readonly file: string
  readonly args: readonly string[]
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  /** Default `/`. */
  readonly cwd?: string
  /** Descriptors that become 0, 1, 2, ...; the caller closes its own copies. */
  readonly stdio: readonly (number | 'ignore')[]
}

export interface DetachedProcess {
  readonly pid: number
  /** For noticing a failed start; waiting for it does not keep this process alive. */
  readonly exited: Promise<ProcessExit>
}

// The shell becomes the program, so that its pid is the program's and it is out of the cgroup before it begins.
const script = `umask 022${leaveCgroups}exec "$@"`

/**
 * Starts a program that outlives this process and whatever ends it: own session, outside the caller's cgroup (so that
 * the end of a CI job or a service unit does not take it along), umask 022.
 */
export async function spawnDetached(request: DetachedRequest): Promise<DetachedProcess> {
  const { file, args, env, cwd = '/', stdio } = request
  try {
    accessSync(file, constants.X_OK)
    accessSync(cwd)
  } catch (error) {
    throw fromNodeError(error, `Starting ${file} in ${cwd}`)
  }
  const roots = confiningRoots()
  const child = spawn('/bin/sh', ['-c', script, 'tscontainer', String(roots.length), ...roots, file, ...args], {
    cwd,
    env,
    stdio: [...stdio],
    detached: true,
  })
  const exited = new Promise<ProcessExit>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })))
  const failed = new Promise<never>((_, reject) => child.once('error', reject))
  if (child.pid === undefined)
    return failed.catch((error) => {
      throw hostErrors.error('program_missing', { message: `/bin/sh could not be started for ${file}.`, cause: error })
    })
  failed.catch(() => {})
  child.unref()
  return { pid: child.pid, exited }
}
