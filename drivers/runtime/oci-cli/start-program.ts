import { watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import {
  type CallOptions,
  type DriverHost,
  type LaunchedProcess,
  type LaunchRequest,
  type ProcessExit,
  raceAbort,
} from 'tscontainer/driver-kit'
import { readPid } from './bundle-files.ts'
import { type ProcessStat, readProcessStat } from './process-stat.ts'

/** A call of the runtime that has brought a program up, or has ended. */
export interface StartedProgram {
  readonly runtime: LaunchedProcess
  /** Null when the runtime ended before it had a program. */
  readonly pid: number | null
  /** Null when the program had ended before it was seen running. */
  readonly startTime: string | null
  /** Set when the runtime has ended already. */
  readonly exit: ProcessExit | null
}

/**
 * Starts a runtime and waits until the user's program has been executed, or the runtime has ended. The moment is known
 * from the pid file, which crun and runc write at the execve, and from the kernel's own mark of it. An abort kills the
 * runtime; the caller sweeps.
 */
export async function startProgram(
  host: DriverHost,
  request: LaunchRequest,
  pidFile: string,
  what: string,
  call?: CallOptions,
): Promise<StartedProgram> {
  const executed = new ExecutionWatch(pidFile)
  try {
    const runtime = await host.launcher.launch(request, call)
    runtime.ref()
    try {
      return await raceAbort(
        Promise.race([
          executed.promise.then(({ pid, stat }) => ({ runtime, pid, startTime: stat.startTime, exit: null })),
          runtime.exited.then((exit) => ({ runtime, pid: readPid(pidFile), startTime: null, exit })),
        ]),
        call?.signal,
        what,
      )
    } catch (error) {
      const identity = host.processes.identityOf(runtime.pid)
      if (identity) host.processes.signal(identity, 9)
      await runtime.exited
      throw error
    } finally {
      runtime.unref()
    }
  } finally {
    executed.close()
  }
}

/** Watches for the pid file; a program that is gone by then is left to whoever waits for the runtime's end. */
class ExecutionWatch {
  readonly #file: string
  readonly #close: () => void
  readonly #resolve: (found: { pid: number; stat: ProcessStat }) => void
  readonly promise: Promise<{ pid: number; stat: ProcessStat }>
  #timer: NodeJS.Timeout | null = null

  constructor(file: string) {
    this.#file = file
    const { promise, resolve } = Promise.withResolvers<{ pid: number; stat: ProcessStat }>()
    this.promise = promise
    this.#resolve = resolve
    const name = basename(file)
    const watcher = watch(dirname(file), { persistent: false }, (_, changed) => {
      if (changed === name) this.#look()
    })
    this.#close = () => watcher.close()
  }

  #look(): void {
    if (this.#timer) return
    const pid = readPid(this.#file)
    const stat = pid === null ? null : readProcessStat(pid)
    if (pid === null || stat === null || stat.zombie) return
    if (stat.executed) this.#resolve({ pid, stat })
    // Between the pid file and the execve: microseconds.
    else
      this.#timer = setTimeout(() => {
        this.#timer = null
        this.#look()
      }, 1)
  }

  close(): void {
    this.#close()
    if (this.#timer) clearTimeout(this.#timer)
  }
}
