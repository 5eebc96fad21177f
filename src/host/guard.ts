import { spawn } from 'node:child_process'
import { closeSync, existsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, hostErrors } from '../errors/host-errors.ts'
import { directoriesOf, hierarchies } from './cgroup/hierarchy.ts'
import type { CgroupParent } from './cgroup/parent.ts'
import { guardScript } from './guard-script.ts'
import type { ProcessExit } from './launcher.ts'
import { confiningRoots } from './leave-cgroup.ts'
import { createPipe } from './pipe.ts'

/** Name of the environment variable that marks the programs an engine started; its value is the engine's id. */
export const engineMarker = 'TSCONTAINER_ENGINE'

/**
 * A tiny `sh` in a session and cgroup of its own that ends everything of an engine once the engine's process is gone:
 * processes marked with `engineMarker` and those in the engine's cgroups. It learns of the end by EOF on a pipe that
 * only the engine's process holds. Neither the guard nor `exited` keeps the engine's process alive.
 */
export interface Guard extends AsyncDisposable {
  readonly pid: number
  /** Settles when the guard has ended: after disposal, or because somebody killed it; then start another. */
  readonly exited: Promise<ProcessExit>
  /** Tells it to leave without ending anything, and waits for that. */
  [Symbol.asyncDispose](): Promise<void>
}

export interface GuardOptions {
  readonly engineId: string
  /** Where the engine's containers are; ended and removed by the guard. */
  readonly cgroups: Pick<CgroupParent, 'path'>
}

/** Resolves when the guard watches. */
export async function startGuard(options: GuardOptions): Promise<Guard> {
  const { engineId, cgroups } = options
  const roots = confiningRoots()
  const removed = [...new Set(hierarchies().all.map((h) => join(h.directory, cgroups.path)))]
  // Containers are in every hierarchy that is used; the first is the one that can freeze, where one can.
  const ended = directoriesOf(cgroups.path)[0] ?? '/nonexistent'
  const { read, write } = createPipe()
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      guardScript,
      'tscontainer-guard',
      String(roots.length),
      ...roots,
      `${engineMarker}=${engineId}`,
      ended,
      ...removed,
    ],
    // An environment of its own: the marker in it would make the guard its own victim.
    { cwd: '/', env: { PATH: guardPath() }, stdio: [read, 'pipe', 'ignore'], detached: true },
  )
  closeSync(read)
  let open = true
  const release = () => {
    // Once only: the number may belong to another file by now.
    if (open) closeSync(write)
    open = false
  }
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('exit', (code, signal) => {
      release()
      resolve({ code, signal })
    })
    child.once('error', () => {
      release()
      resolve({ code: null, signal: null })
    })
  })
  const output = child.stdout!
  const ready = await Promise.race([
    new Promise<boolean>((resolve) => output.once('data', () => resolve(true))),
    exited.then(() => false),
  ])
  output.destroy()
  if (!ready || child.pid === undefined)
    throw hostErrors.error('unavailable', {
      message: 'The guard that ends containers when this process dies could not be started: is /bin/sh in order?',
    })
  child.unref()
  return {
    pid: child.pid,
    exited,
    async [Symbol.asyncDispose]() {
      if (open) {
        try {
          writeSync(write, 'leave\n')
        } catch (error) {
          if (errnoOf(error) !== 'EPIPE') throw error
        }
      }
      child.ref()
      await exited
    },
  }
}

/** Standard places, whatever PATH the application runs with. */
function guardPath(): string {
  const places = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
  return places.filter((place) => existsSync(place)).join(':')
}
