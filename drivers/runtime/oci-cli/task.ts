import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type CallOptions,
  type ContainerId,
  type DriverContext,
  type ProcessIdentity,
  type ResourceUsage,
  type RuntimeExec,
  type RuntimeExit,
  type RuntimeProcess,
  type RuntimeResources,
  type RuntimeSpec,
  type RuntimeTask,
  raceAbort,
  runtimeErrors,
  type Stdio,
  stringifyRuntimeJson,
  throwIfAborted,
} from 'tscontainer/driver-kit'
import { cgroupOf } from './cgroup-path.ts'
import type { CommandLine } from './command-line.ts'
import { releaseOutput } from './detached-wrapper.ts'
import { refusedByKernel } from './executable-check.ts'
import { notExecutableError, readRuntimeLog, startError } from './runtime-log.ts'
import { signalOfExitCode } from './signal-name.ts'
import { startProgram } from './start-program.ts'

/** Then its cgroup is asked who is left. */
const killPatienceMs = 2000

export interface TaskParts {
  readonly id: ContainerId
  readonly context: DriverContext
  readonly commands: CommandLine
  readonly directory: string
  readonly spec: RuntimeSpec
  readonly lifetime: 'process' | 'detached'
  readonly init: ProcessIdentity
  /** Called once, when somebody asks for the end. */
  readonly end: () => Promise<RuntimeExit>
}

/** A running container of this driver, started here or found. */
export class OciTask implements RuntimeTask {
  readonly #parts: TaskParts
  #exited: Promise<RuntimeExit> | null = null

  constructor(parts: TaskParts) {
    this.#parts = parts
  }

  get id(): ContainerId {
    return this.#parts.id
  }

  get pid(): number {
    return this.#parts.init.pid
  }

  get startTime(): string {
    return this.#parts.init.startTime
  }

  releaseOutput(): void {
    if (this.#parts.lifetime === 'detached') releaseOutput(this.#parts.directory)
  }

  get exited(): Promise<RuntimeExit> {
    this.#exited ??= this.#parts.end()
    return this.#exited
  }

  async kill(signal: number): Promise<void> {
    this.#host.processes.signal(this.#parts.init, signal)
  }

  async killAll(call?: CallOptions): Promise<void> {
    const { init, spec, id } = this.#parts
    const ownPids = spec.linux.namespaces?.some(({ type, path }) => type === 'pid' && path === undefined)
    // The first process of a pid namespace takes all others along, and its end is told: no asking again and again.
    if (ownPids && !this.#host.cgroups.isFrozen(this.#cgroup) && this.#host.processes.signal(init, 9)) {
      // Referenced: nothing else may keep a process alive that only waits for this.
      const over = new AbortController()
      const late = sleep(killPatienceMs, null, { signal: over.signal }).catch(() => null)
      const ended = Promise.race([this.exited, late])
      const end = await raceAbort(ended, call?.signal, `Killing container ${id}`).finally(() => over.abort())
      // An end comes after what was left in the cgroup was ended too.
      if (end) return
    }
    await this.#host.cgroups.killTree(this.#cgroup, call)
  }

  async pause(call?: CallOptions): Promise<void> {
    this.#requireRunning('pause')
    await this.#host.cgroups.freeze(this.#cgroup, call)
  }

  async resume(call?: CallOptions): Promise<void> {
    this.#requireRunning('resume')
    await this.#host.cgroups.thaw(this.#cgroup, call)
  }

  async processes(): Promise<readonly number[]> {
    return this.#host.cgroups.processes(this.#cgroup)
  }

  async usage(): Promise<ResourceUsage | null> {
    return this.#host.cgroups.usage(this.#cgroup)
  }

  async update(resources: RuntimeResources, call?: CallOptions): Promise<void> {
    this.#requireRunning('update')
    const files = this.#scratch()
    try {
      const { id, spec, commands } = this.#parts
      writeFileSync(files.process, stringifyRuntimeJson(resources))
      const runtime = await this.#host.launcher.launch(commands.update(id, spec, files.process, files.log), call)
      runtime.ref()
      const exit = await runtime.exited.finally(() => runtime.unref())
      if (exit.code !== 0)
        throw runtimeErrors.error('operation_failed', {
          message: `The limits of container ${id} could not be changed: ${readRuntimeLog(files.log) || 'the runtime said nothing'}.`,
          subject: { type: 'container', id },
          details: { resources },
        })
    } finally {
      removeFiles(files)
    }
  }

  async exec(process: RuntimeProcess, stdio: Stdio, call?: CallOptions): Promise<RuntimeExec> {
    const { id, spec, commands, lifetime } = this.#parts
    const what = `Executing "${process.args[0]}" in container ${id}`
    throwIfAborted(call, what)
    const files = this.#scratch()
    try {
      writeFileSync(files.process, stringifyRuntimeJson(process), { mode: 0o600 })
      const request = commands.exec(id, spec, files, stdio, lifetime)
      const started = await startProgram(this.#host, request, files.pid, what, call)
      const { exit } = started
      if (started.pid === null || (exit && exit.code !== 0))
        this.#judgeEnd(what, process, files.log, started.pid, exit?.code ?? null)
      const identity =
        started.startTime === null
          ? null
          : { pid: started.pid!, startTime: started.startTime, bootId: this.#parts.init.bootId }
      // Until its end, as a child process does: its streams may be at theirs before.
      started.runtime.ref()
      return {
        pid: started.pid!,
        exited: started.runtime.exited.then(({ code }) => {
          // Without a code the runtime was killed, and nobody knows of the program.
          const exitCode = code ?? 137
          return { exitCode, signal: signalOfExitCode(exitCode) }
        }),
        kill: async (signal) => {
          if (identity) this.#host.processes.signal(identity, signal)
        },
      }
    } finally {
      removeFiles(files)
    }
  }

  /** Throws when a runtime that ended at once did so because there was nothing to execute. */
  #judgeEnd(what: string, process: RuntimeProcess, log: string, pid: number | null, code: number | null): void {
    const said = readRuntimeLog(log)
    if (pid === null) {
      if (!this.#host.processes.isAlive(this.#parts.init)) throw this.#notRunning('exec')
      throw startError(what, process.args, said, code)
    }
    const root = `/proc/${this.pid}/root`
    const refusal = said || refusedByKernel(root, process.args, process.env, process.cwd)
    if (refusal) throw notExecutableError(what, process.args[0] ?? '', refusal)
  }

  #requireRunning(verb: string): void {
    if (!this.#host.processes.isAlive(this.#parts.init)) throw this.#notRunning(verb)
  }

  #notRunning(verb: string) {
    return runtimeErrors.error('not_running', {
      message: `Container ${this.id} has ended, so it cannot ${verb}. Start it first.`,
      subject: { type: 'container', id: this.id },
    })
  }

  get #host() {
    return this.#parts.context.host
  }

  get #cgroup(): string {
    return cgroupOf(this.#parts.spec) ?? `/${this.id}`
  }

  // In a directory of their own, so that waiting for the pid file hears of nothing else.
  #scratch() {
    const directory = join(this.#parts.directory, 'execs')
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const base = join(directory, randomBytes(6).toString('hex'))
    return { process: `${base}.json`, pid: `${base}.pid`, log: `${base}.log` }
  }
}

function removeFiles(files: Readonly<Record<string, string>>): void {
  for (const file of Object.values(files)) rmSync(file, { force: true })
}
