import type { AttachContainerOptions, AttachedStreams } from '../container/attach-container.ts'
import { attachedRemotely } from '../container/attach-container.ts'
import type { ContainerCore } from '../container/container-core.ts'
import type { ContainerLogQuery } from '../container/container-log.ts'
import type { ExitStatus } from '../container/container-record.ts'
import type { ContainerSpec } from '../container/container-spec.ts'
import type { ContainerStats } from '../container/container-stats.ts'
import { type Duration, parseDuration } from '../container/duration.ts'
import type { ExecProcess, SpawnOptions } from '../container/exec-container.ts'
import type { ContainerInspect } from '../container/inspect-container.ts'
import { requireRunning } from '../container/state-guards.ts'
import type { WaitCondition } from '../container/wait-container.ts'
import type { ContainerId } from '../driver-kit/ids.ts'
import type { LogEntry } from '../driver-kit/log-driver.ts'
import { parseOptionObject } from '../driver-kit/options.ts'
import { containerErrors } from '../errors/container-errors.ts'
import type { ProcessFacts } from '../host/process-facts.ts'
import type { TreeChange } from '../layer/change-list.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Operation, OperationContext } from '../progress/operation.ts'
import type { RunningCalls } from '../progress/running-calls.ts'
import type { Resources } from '../runtime/resources.ts'
import { parseSignal } from '../runtime/signals.ts'
import type { CommitOptions } from '../transfer/commit-options.ts'
import type { ContainerBackend } from './container-backend.ts'
import { type ExecOptions, type ExecResult, execCollected } from './exec-collected.ts'
import type { Image } from './image.ts'

/** How to stop a container. */
export interface StopOptions {
  /** Name or number. Default: the container's. */
  readonly stopSignal?: string | number
  /** How long to wait before SIGKILL: milliseconds or text such as `5s`. Default: the container's. */
  readonly graceMs?: Duration
}

/** How to watch what a container uses. */
export interface StatsOptions {
  /** From one sample to the next: milliseconds, at least 10, or text such as `5s`. Default 1 s. */
  readonly every?: Duration
}

/** How to remove a container. */
export interface RemoveOptions {
  /** Kills it first when it runs. Default false. */
  readonly force?: boolean
}

/**
 * A handle on a container: its id and verbs; facts come from `inspect()`. A handle from `create` or `run` owns the
 * container: `await using` stops and removes it, unless `keep()` was called. One from `get`, `find` or `list` owns nothing.
 */
export class Container implements AsyncDisposable {
  /** 64 hex digits. */
  readonly id: ContainerId
  readonly #backend: ContainerBackend
  readonly #onLog: ContainerSpec['onLog']
  #owned: boolean

  /** @internal */
  constructor(backend: ContainerBackend, id: ContainerId, owned: boolean, onLog?: ContainerSpec['onLog']) {
    this.id = id
    this.#backend = backend
    this.#owned = owned
    this.#onLog = onLog
  }

  get #core(): ContainerCore {
    return this.#backend.core()
  }

  get #calls(): RunningCalls {
    return this.#backend.calls
  }

  /** Whether the end of the engine ends it: then whoever waits for it is to hear how it ended. */
  get #endsWithEngine(): boolean {
    const { lifetime, owner } = this.#core.require(this.id)
    return lifetime === 'process' && owner === this.#core.services.owner.id
  }

  #untilItsEnd<T>(call: CallOptions | undefined, work: (call: CallOptions) => Promise<T>): Promise<T> {
    return this.#endsWithEngine ? work(call ?? {}) : this.#calls.run(call, work)
  }

  /** As recorded now. @throws `container.not_found` */
  get name(): string {
    return this.#core.inspect(this.id).name
  }

  /**
   * Runs the program; resolves when it has been executed. A running container is no error.
   *
   * @throws `runtime.command_not_found`, `runtime.command_not_executable`, `runtime.start_failed`,
   * `container.held_elsewhere`, `container.busy`
   */
  start(call?: CallOptions): Promise<void> {
    return this.#calls.run(call, (call) => this.#core.start(this.id, this.#onLog, call))
  }

  /**
   * Sends the stop signal and SIGKILL after the grace; returns at the latest 10 s after that. No error when it does not
   * run; null when it never ran.
   *
   * @throws `container.stop_failed`
   */
  stop(options: StopOptions = {}, call?: CallOptions): Promise<ExitStatus | null> {
    const { stopSignal, graceMs } = parseOptionObject('stop', options, {
      stopSignal: (value) => parseSignal(value as string | number),
      graceMs: (value, key) => parseDuration(value as Duration, key),
    })
    const how = { signal: stopSignal ?? null, graceMs: graceMs ?? null }
    return this.#calls.run(call, (call) => this.#core.stop(this.id, how, call))
  }

  /** Signals the first process: name with or without SIG, or number. Default SIGKILL. @throws `container.not_running` */
  kill(signal: string | number = 'SIGKILL', call?: CallOptions): Promise<void> {
    const number = parseSignal(signal)
    return this.#calls.run(call, (call) => this.#core.kill(this.id, number, call))
  }

  /** Freezes all its processes. A paused one stays so. @throws `container.not_running` */
  pause(call?: CallOptions): Promise<void> {
    return this.#calls.run(call, (call) => this.#core.setPaused(this.id, true, call))
  }

  /** Lets them go on. @throws `container.not_running` */
  unpause(call?: CallOptions): Promise<void> {
    return this.#calls.run(call, (call) => this.#core.setPaused(this.id, false, call))
  }

  /**
   * Changes limits: of a running container at once, and for every later start. What is not named stays.
   *
   * @throws `runtime.bad_resource`, `runtime.unsupported_resource`, `runtime.operation_failed` when the kernel refuses, for
   * example memory below what is in use: then nothing has changed
   */
  async update(resources: Resources, call?: CallOptions): Promise<void> {
    await this.#calls.run(call, (call) => this.#core.update(this.id, resources, call))
  }

  /** Waits for a condition, whichever process holds the container. Default `not-running`. */
  async wait(options: { readonly until?: WaitCondition } = {}, call?: CallOptions): Promise<ExitStatus> {
    const { until } = parseOptionObject('wait', options, {
      until: (value) => {
        if (value === 'not-running' || value === 'next-exit' || value === 'removed') return value
        throw containerErrors.error('bad_spec', {
          message: `wait takes until: 'not-running', 'next-exit' or 'removed', got ${JSON.stringify(value)}.`,
          details: { field: 'until' },
        })
      },
    })
    return this.#untilItsEnd(call, (call) => this.#core.wait(this.#core.require(this.id), until ?? 'not-running', call))
  }

  /**
   * Runs a program in the container to its end and collects its output. A code other than 0 is no error.
   *
   * @throws `container.not_running`, `runtime.command_not_found`, `runtime.command_not_executable`
   */
  exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult> {
    return this.#untilItsEnd(options, (call) =>
      execCollected((spawn) => this.#core.spawn(this.id, argv, spawn), { ...options, ...call }),
    )
  }

  /** Starts a program in the container and gives its streams. */
  spawn(argv: readonly string[], options?: SpawnOptions): Promise<ExecProcess> {
    return this.#calls.run(options, (call) => this.#core.spawn(this.id, argv, { ...options, ...call }))
  }

  /** The standard streams of the first process, byte-exact. @throws `container.not_running` */
  async attach(options: AttachContainerOptions = {}): Promise<AttachedStreams> {
    const held = this.#core.attach(this.id, options)
    if (held) return held
    const record = this.#core.require(this.id)
    requireRunning(record, 'attach')
    if (record.lifetime !== 'detached') throw this.#core.heldElsewhere(record, 'attached to')
    const { replay = false, signal } = options
    const streams = await this.#backend.monitor.attach(record.id, { stdin: record.spec.stdin, replay, signal })
    return attachedRemotely(streams)
  }

  /** Log entries from the first byte on; with `follow` until the container ends. */
  logs(query?: ContainerLogQuery): AsyncIterable<LogEntry> {
    const signal = this.#endsWithEngine ? query?.signal : this.#calls.signal(query?.signal)
    return this.#core.logs(this.id, { ...query, ...(signal && { signal }) })
  }

  /**
   * What it uses, now and then again until it ends: processor time, memory, block devices, processes, networks; as
   * `docker stats`. One sample: `for await (const stats of container.stats()) return stats`.
   *
   * @throws `container.not_running`, `container.bad_spec`
   */
  async *stats(options: StatsOptions = {}, call?: CallOptions): AsyncIterable<ContainerStats> {
    const { every } = parseOptionObject('stats', options, {
      every: (value, key) => parseDuration(value as Duration, key),
    })
    yield* this.#calls.iterate(call, (call) => this.#core.stats(this.id, every ?? 1000, call))
  }

  /** Its processes now, as `docker top`. @throws `container.not_running` */
  top(call?: CallOptions): Promise<readonly ProcessFacts[]> {
    return this.#calls.run(call, (call) => this.#core.top(this.id, call))
  }

  /** @throws `container.not_found` */
  async inspect(_call?: CallOptions): Promise<ContainerInspect> {
    return this.#core.inspect(this.id)
  }

  /** @throws `container.name_taken`, `container.bad_name` */
  async rename(name: string): Promise<void> {
    this.#core.rename(this.id, name)
  }

  /**
   * What its programs have added, modified and deleted of its image's files, in the order of the paths: as `docker diff`
   * tells it, without the files and directories that were made only to mount something upon them.
   *
   * @throws `container.unsupported_option` when it runs and its storage driver can only compare stopped trees
   */
  async *diff(call?: CallOptions): AsyncIterable<TreeChange> {
    yield* await this.#calls.run(call, (call) => this.#backend.diff(this.id, call))
  }

  /**
   * Makes an image of it: its image's layers, one with what it has changed, its configuration with `changes`. A running
   * one is frozen for the moment unless `pause` is false. Nothing is left when it fails. Good for looking at what went
   * wrong, and for learning; images that others are to use are better built, so that everybody sees how.
   *
   * @throws `image.not_found` when its image was removed, `transfer.bad_change`, `transfer.unsupported_compression`,
   * `layer.unsupported_entry`, `layer.disk_full`, `content.*`, `reference.*`
   */
  commit(options?: CommitOptions): Operation<Image> {
    const work = (context: OperationContext) => this.#backend.commit(this.id, options, context)
    return this.#calls.operation(work, options, 'container.commit')
  }

  /** Writes the root file system as a tar to a path or stream; of a running container as it is at each file's turn. */
  exportRootfs(target: string | NodeJS.WritableStream, call?: CallOptions): Operation<void> {
    const work = ({ signal }: OperationContext) => this.#backend.exportRootfs(this.id, target, { signal })
    return this.#calls.operation(work, call, 'container.exportRootfs')
  }

  /** Removes it; one that is gone is no error. @throws `container.running` without `force` */
  async remove(options: RemoveOptions = {}, call?: CallOptions): Promise<void> {
    const { force } = parseOptionObject('remove', options, {
      force: (value) => value === true,
    })
    const record = this.#core.services.records.find(this.id)
    if (record) await this.#calls.run(call, (call) => this.#core.remove(record, { force: force ?? false }, call))
    this.#owned = false
  }

  /** Leaves the container behind at disposal; of a `process` container the record and files, stopped. */
  keep(): this {
    this.#owned = false
    this.#core.keep(this.id)
    return this
  }

  /** Stops and removes what this handle owns. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#owned) return
    this.#owned = false
    const record = this.#core.services.records.find(this.id)
    if (!record) return
    await this.#core.stop(this.id, { signal: null, graceMs: null })
    const stopped = this.#core.services.records.find(this.id)
    if (stopped) await this.#core.remove(stopped, { force: true })
  }
}
