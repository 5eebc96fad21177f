import { closeSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  abortError,
  type Bundle,
  type CallOptions,
  type ContainerId,
  callErrors,
  type DriverContext,
  type ProcessExit,
  type RuntimeDriver,
  type RuntimeExit,
  type RuntimeSpec,
  type RuntimeTask,
  stringifyRuntimeJson,
  throwIfAborted,
} from 'tscontainer/driver-kit'
import {
  bundleFiles,
  clearBundle,
  endTime,
  readNumberLine,
  readTask,
  type TaskRecord,
  writeTask,
} from './bundle-files.ts'
import { cgroupOf, nestCgroup, outerCgroup } from './cgroup-path.ts'
import { CommandLine } from './command-line.ts'
import { makeAliveFifo, releaseOutput, wrapDetached, wrapperAlive, wrapperGone } from './detached-wrapper.ts'
import { refusedByKernel } from './executable-check.ts'
import { type AdoptedBundle, findUnrecorded, isOfEarlierRun } from './find-unrecorded.ts'
import { noOomRecord, type OomRecord, recordOom } from './oom-record.ts'
import { notExecutableError, readRuntimeLog, startError } from './runtime-log.ts'
import type { RuntimeProgram } from './runtime-program.ts'
import { signalOfExitCode } from './signal-name.ts'
import { type StartedProgram, startProgram } from './start-program.ts'
import { OciTask } from './task.ts'

type Found = Pick<Bundle, 'directory' | 'spec'>

/** Runs containers with crun, runc, or another program with their command line. */
export class OciCliDriver implements RuntimeDriver {
  readonly name = 'oci-cli'
  readonly seccompForm: 'profile' | 'crun-bpf'
  readonly facts: Readonly<Record<string, string>>
  readonly #context: DriverContext
  readonly #commands: CommandLine
  #disposed = false

  constructor(program: RuntimeProgram, context: DriverContext) {
    this.seccompForm = program.seccompForm
    this.facts = program.facts
    this.#context = context
    this.#commands = new CommandLine(program.path, context)
    mkdirSync(this.#commands.stateDirectory, { recursive: true, mode: 0o700 })
  }

  async run(id: ContainerId, given: Bundle, call?: CallOptions): Promise<RuntimeTask> {
    this.#requireOpen()
    const what = `Starting container ${id}`
    throwIfAborted(call, what)
    const host = this.#context.host
    const { spec, nested } = nestCgroup(given.spec, host.features().cgroup)
    const bundle = nested ? { ...given, spec } : given
    const { directory, lifetime } = bundle
    clearBundle(directory)
    writeFileSync(join(directory, bundleFiles.config), stringifyRuntimeJson(spec), { mode: 0o600 })
    const started = await this.#start(id, bundle, what, call)
    if (started.pid === null) throw await this.#startFailure(id, bundle, what, started.exit)
    const init = {
      pid: started.pid,
      startTime: started.startTime ?? '0',
      bootId: host.features().bootId,
    }
    const exitCode = started.exit && this.#exitCode(bundle, started.exit)
    if (exitCode) await this.#refuseUnexecuted(bundle, what, exitCode)
    const cgroup = cgroupOf(spec)
    const oom = cgroup !== null && spec.linux.resources?.memory?.limit ? recordOom(host, cgroup) : noOomRecord
    writeTask(directory, { init, lifetime })
    const end = this.#end(id, bundle, started, oom)
    return this.#task(id, bundle, { init, lifetime }, () => end)
  }

  async adopt(id: ContainerId, bundle: AdoptedBundle, call?: CallOptions): Promise<RuntimeTask | null> {
    this.#requireOpen()
    const { directory, spec } = bundle
    const host = this.#context.host
    if (isOfEarlierRun(bundle)) return null
    const record = readTask(directory) ?? (await findUnrecorded(host, bundle, call))
    if (!record) return null
    const alive = host.processes.isAlive(record.init)
    if (record.lifetime === 'process')
      return alive ? this.#task(id, bundle, record, () => this.#endElsewhere(record)) : null
    const held = wrapperAlive(directory)
    if (!alive && !held && readNumberLine(directory, bundleFiles.exit) === null) return null
    const cgroup = cgroupOf(spec)
    const oom = cgroup !== null && spec.linux.resources?.memory?.limit ? recordOom(host, cgroup) : noOomRecord
    const end = this.#endDetached(id, bundle, record, oom)
    return this.#task(id, bundle, record, () => end)
  }

  async sweep(id: ContainerId, bundle: Found, call?: CallOptions): Promise<void> {
    const { cgroups, processes } = this.#context.host
    await this.#killWrapper(bundle.directory)
    const path = cgroupOf(bundle.spec)
    if (path !== null) {
      await cgroups.killTree(path, call)
      await cgroups.removeTree(outerCgroup(path), call)
    }
    const record = readTask(bundle.directory)
    if (record) processes.signal(record.init, 9)
    rmSync(join(this.#commands.stateDirectory, id), { recursive: true, force: true })
    releaseOutput(bundle.directory)
    clearBundle(bundle.directory)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
  }

  async #start(id: ContainerId, bundle: Bundle, what: string, call?: CallOptions): Promise<StartedProgram> {
    const request = this.#commands.run(id, bundle)
    const { directory, lifetime } = bundle
    const host = this.#context.host
    const pidFile = join(directory, bundleFiles.pid)
    const alive = lifetime === 'detached' ? makeAliveFifo(host, directory) : null
    try {
      const whole = alive === null ? request : wrapDetached(request, directory, alive)
      return await startProgram(host, whole, pidFile, what, call)
    } catch (error) {
      await this.sweep(id, bundle)
      throw call?.signal?.aborted ? abortError(call.signal, what) : error
    } finally {
      if (alive !== null) closeSync(alive)
    }
  }

  async #startFailure(id: ContainerId, bundle: Bundle, what: string, exit: ProcessExit | null) {
    const said = readRuntimeLog(join(bundle.directory, bundleFiles.log))
    const error = startError(what, bundle.spec.process.args, said, exit?.code ?? null)
    await this.sweep(id, bundle)
    return error
  }

  /** Throws when a program that had ended before it was seen was in truth none: runtimes cannot tell so late. */
  async #refuseUnexecuted(bundle: Bundle, what: string, exitCode: number): Promise<void> {
    const { args, env, cwd } = bundle.spec.process
    const said = readRuntimeLog(join(bundle.directory, bundleFiles.log))
    if (exitCode > 128 && said === '') return
    const lease = await (bundle.lookAtRoot?.() ?? this.#context.host.launcher.mount(bundle.root))
    try {
      const refusal = said || refusedByKernel(lease.path, args, env, cwd)
      if (refusal) throw notExecutableError(what, args[0] ?? '', refusal)
    } finally {
      await lease[Symbol.asyncDispose]()
    }
  }

  #task(id: ContainerId, { directory, spec }: Found, record: TaskRecord, end: () => Promise<RuntimeExit>): OciTask {
    return new OciTask({ id, context: this.#context, commands: this.#commands, directory, spec, ...record, end })
  }

  #exitCode(bundle: Bundle, exit: ProcessExit): number | null {
    return bundle.lifetime === 'process' ? exit.code : readNumberLine(bundle.directory, bundleFiles.exit)
  }

  async #end(id: ContainerId, bundle: Bundle, started: StartedProgram, oom: OomRecord): Promise<RuntimeExit> {
    const exit = started.exit ?? (await started.runtime.exited)
    // The launcher thread died, not the container.
    if (bundle.lifetime === 'detached' && exit.code === null) await wrapperGone(bundle.directory)
    return this.#settle(id, bundle, this.#exitCode(bundle, exit), oom)
  }

  async #endDetached(id: ContainerId, bundle: Found, record: TaskRecord, oom: OomRecord): Promise<RuntimeExit> {
    await wrapperGone(bundle.directory)
    const exitCode = readNumberLine(bundle.directory, bundleFiles.exit)
    if (exitCode === null) await this.#gone(record)
    const exit = await this.#settle(id, bundle, exitCode, oom)
    return { ...exit, finishedAt: endTime(bundle.directory) ?? exit.finishedAt }
  }

  /** A container of lifetime `process` that another process holds: only that one learns the code. */
  async #endElsewhere(record: TaskRecord): Promise<RuntimeExit> {
    await this.#gone(record)
    return { exitCode: 255, signal: null, oomKilled: false, finishedAt: new Date() }
  }

  async #gone(record: TaskRecord): Promise<void> {
    const processes = this.#context.host.processes
    while (processes.isAlive(record.init)) await new Promise<void>((resolve) => setTimeout(resolve, 200).unref())
  }

  /** The end of a container; without a code its runtime was killed, and with it goes the rest. */
  async #settle(id: ContainerId, bundle: Found, code: number | null, oom: OomRecord): Promise<RuntimeExit> {
    const finishedAt = new Date()
    const exitCode = code ?? 137
    let oomKilled = false
    try {
      if (code === null) await this.#sweepRest(id, bundle.spec)
      oomKilled = await oom.happened()
      const cgroup = cgroupOf(bundle.spec)
      if (cgroup !== null && this.#context.host.cgroups.exists(cgroup)) await this.#sweepRest(id, bundle.spec)
    } catch (error) {
      this.#context.diagnostics({
        level: 'error',
        source: 'runtime.oci-cli',
        message: `What container ${id} left could not be removed; the next sweep tries again.`,
        subject: id,
        error,
      })
    }
    return { exitCode, signal: signalOfExitCode(exitCode), oomKilled, finishedAt }
  }

  async #sweepRest(id: ContainerId, spec: RuntimeSpec): Promise<void> {
    const { cgroups } = this.#context.host
    const path = cgroupOf(spec)
    if (path !== null) {
      await cgroups.killTree(path)
      await cgroups.removeTree(path)
    }
    rmSync(join(this.#commands.stateDirectory, id), { recursive: true, force: true })
  }

  /** Ends the wrapper of a detached container with its runtime, so that a start that was under way does not go on. */
  async #killWrapper(directory: string): Promise<void> {
    const { processes } = this.#context.host
    for (let tries = 0; wrapperAlive(directory) && tries < 500; tries++) {
      const pid = readNumberLine(directory, bundleFiles.wrapper)
      const wrapper = pid === null ? null : processes.identityOf(pid)
      // It leads the group that the runtime is in, and cannot be anybody else while it holds the FIFO.
      if (wrapper) {
        try {
          process.kill(-wrapper.pid, 'SIGKILL')
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  #requireOpen(): void {
    if (this.#disposed)
      throw callErrors.error('disposed', { message: 'The runtime driver oci-cli was used after its disposal.' })
  }
}
