import { accessSync, closeSync, constants, statSync } from 'node:fs'
import { constants as os } from 'node:os'
import { errnoOf, systemError } from '../errors/host-errors.ts'
import type { LaunchRequest, ProcessExit } from './launcher.ts'
import type { LauncherNamespaces } from './launcher-namespaces.ts'
import { missingProgram } from './missing-program.ts'
import { mountRoot } from './mount-root.ts'
import { duplicateFrom } from './syscall/descriptor.ts'
import type { Epoll } from './syscall/epoll.ts'
import { pidfdOpen, pidfdSendSignal } from './syscall/process.ts'
import { posixSpawn, reap } from './syscall/spawn.ts'

const signalNames = new Map(Object.entries(os.signals).map(([name, number]) => [number, name as NodeJS.Signals]))

interface Program {
  readonly pid: number
  readonly pidfd: number
}

/** The programs that the launcher thread has started and that still run, by the id of their launch. */
export class LauncherPrograms {
  readonly #epoll: Epoll
  readonly #running = new Map<number, Program>()

  constructor(epoll: Epoll) {
    this.#epoll = epoll
  }

  start(id: number, request: LaunchRequest, namespaces: LauncherNamespaces): number {
    const pid = namespaces.inOwnNamespace(() => {
      if (request.root) mountRoot(request.root)
      return spawnProgram(request)
    })
    try {
      this.#watch(id, pid)
    } catch (error) {
      // No descriptor left: nobody would hear of its end.
      process.kill(pid, 'SIGKILL')
      reap(pid, 'wait')
      throw error
    }
    return pid
  }

  #watch(id: number, pid: number): void {
    // A child that was not waited for cannot vanish: its pidfd can always be had.
    const pidfd = pidfdOpen(pid)!
    try {
      this.#epoll.add(pidfd, id)
    } catch (error) {
      closeSync(pidfd)
      throw error
    }
    this.#running.set(id, { pid, pidfd })
  }

  /** Called when the program's descriptor became readable. */
  ended(id: number): ProcessExit | null {
    const program = this.#running.get(id)
    const status = program && reap(program.pid, 'look')
    if (!program || !status) return null
    this.#running.delete(id)
    this.#epoll.remove(program.pidfd)
    closeSync(program.pidfd)
    if ('code' in status) return { code: status.code, signal: null }
    const signal = signalNames.get(status.signal)
    // Real-time signals have no name in Node: as a shell would say it.
    return signal ? { code: null, signal } : { code: 128 + status.signal, signal: null }
  }

  kill(id: number): void {
    const program = this.#running.get(id)
    if (program) pidfdSendSignal(program.pidfd, os.signals.SIGKILL)
  }

  /** Lets go of them; they live on. */
  close(): void {
    for (const { pidfd } of this.#running.values()) closeSync(pidfd)
  }
}

function spawnProgram(request: LaunchRequest): number {
  const given = request.stdio.map((entry) => (entry === 'ignore' ? null : entry))
  // One that lies where another one is to come is moved out of the way first.
  const moved = given.map((fd, target) =>
    fd !== null && fd < given.length && fd !== target ? duplicateFrom(fd, given.length) : null,
  )
  // At least the three that every program expects.
  const descriptors = Array.from({ length: Math.max(3, given.length) }, (_, n) => moved[n] ?? given[n] ?? null)
  try {
    return posixSpawn({
      file: findProgram(request),
      argv: [request.file, ...request.args],
      env: Object.entries(request.env).map(([name, value]) => `${name}=${value}`),
      cwd: request.cwd ?? null,
      descriptors,
      ownSession: request.session === 'own',
    })
  } catch (error) {
    throw startFailure(request, error)
  } finally {
    for (const fd of moved) if (fd !== null) closeSync(fd)
  }
}

/** As execvp(3) finds it, on the PATH that the program will have. */
function findProgram({ file, env }: LaunchRequest): string {
  if (file.includes('/')) return file
  let denied = false
  for (const directory of (env['PATH'] ?? '/bin:/usr/bin').split(':')) {
    const path = `${directory || '.'}/${file}`
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return path
      denied = true
    } catch (error) {
      denied ||= errnoOf(error) === 'EACCES'
    }
  }
  throw systemError({ errno: denied ? 'EACCES' : 'ENOENT', syscall: 'execve', path: file })
}

function startFailure(request: LaunchRequest, error: unknown): unknown {
  const errno = errnoOf(error)
  if (errno === null || !(error instanceof Error)) return error
  if (errno === 'ENOENT') return missingProgram(request.file, error, request.cwd)
  return systemError({
    errno,
    syscall: 'posix_spawn',
    path: request.file,
    cause: error,
    what: `Starting ${request.file}`,
  })
}
