import { close, closeSync, writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { abortError, callErrors } from '../errors/call-errors.ts'
import { EngineError } from '../errors/engine-error.ts'
import { hostErrors } from '../errors/host-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { atExit } from './at-exit.ts'
import type { LaunchedProcess, Launcher, LaunchRequest, MountLease, Netns, ProcessExit, RootMount } from './launcher.ts'
import type { LauncherCall, LauncherData, LauncherReply, LauncherResult, SentError } from './launcher-protocol.ts'
import type { NetnsPlan } from './netns-plan.ts'
import { eventfd } from './syscall/descriptor.ts'
import { startThreadPool } from './thread-pool.ts'
import { exitWaitMs, ThreadStop } from './thread-stop.ts'
import { workerEntry, workerExecArgv } from './worker-entry.ts'

export interface LauncherOptions {
  /** The thread's file; another one in tests. */
  readonly entry?: URL | undefined
  /** Told when the thread is lost. */
  readonly diagnostics: (diagnostic: {
    readonly level: 'error'
    readonly source: string
    readonly message: string
    readonly error?: unknown
  }) => void
}

type Body = LauncherCall extends infer Call ? (Call extends LauncherCall ? Omit<Call, 'id'> : never) : never

const one = new Uint8Array(new BigUint64Array([1n]).buffer)

interface Pending {
  resolve(result: LauncherResult): void
  reject(error: unknown): void
}

/** One running thread and what it owes us. */
class LauncherThread {
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  readonly #exits = new Map<number, (exit: ProcessExit) => void>()
  readonly #onLost: (error: unknown) => void
  /** The thread waits for it in the kernel: written after each message. */
  readonly #wake = eventfd()
  readonly #stop = new ThreadStop()
  #refs = 0
  #nextId = 1
  #failure: unknown = null
  readonly ended: Promise<void>

  constructor(entry: URL, onLost: (error: unknown) => void) {
    this.#onLost = onLost
    startThreadPool()
    this.#worker = new Worker(entry, {
      execArgv: workerExecArgv(),
      env: {},
      workerData: { wake: this.#wake, stop: this.#stop.shared } satisfies LauncherData,
      name: 'tscontainer-launcher',
      // A namespace's descriptor is opened there and closed here: the thread must not close its number again.
      trackUnmanagedFds: false,
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64, stackSizeMb: 1 },
    })
    this.#worker.unref()
    this.#worker.on('message', (reply: LauncherReply) => this.#receive(reply))
    this.#worker.on('error', (error) => {
      this.#failure = error
    })
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    const stay = atExit(() => {
      this.leave()
      return () => this.#stop.waitForRest(exitWaitMs)
    })
    this.#worker.on('exit', () => {
      stay()
      this.#lose()
      closeSync(this.#wake)
      resolve()
    })
  }

  ref(): void {
    if (this.#refs++ === 0) this.#worker.ref()
  }

  unref(): void {
    if (--this.#refs === 0) this.#worker.unref()
  }

  /** Sends a call; `onExit` hears of the end of the program that it launches. */
  send(
    body: Body,
    onExit?: (exit: ProcessExit) => void,
  ): { readonly id: number; readonly reply: Promise<LauncherResult> } {
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<LauncherResult>()
    this.#pending.set(id, { resolve, reject })
    if (onExit) this.#exits.set(id, onExit)
    this.ref()
    this.#post({ ...body, id } as LauncherCall)
    return { id, reply: promise }
  }

  kill(id: number): void {
    this.#post({ id, verb: 'kill' })
  }

  leave(): void {
    this.#stop.ask()
    writeSync(this.#wake, one)
  }

  #post(call: LauncherCall): void {
    this.#worker.postMessage(call)
    writeSync(this.#wake, one)
  }

  #receive(reply: LauncherReply): void {
    if ('exit' in reply) {
      this.#settleExit(reply.id, reply.exit)
      return
    }
    const pending = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    this.unref()
    if ('error' in reply) {
      this.#exits.delete(reply.id)
      pending?.reject(receivedError(reply.error))
    } else pending?.resolve(reply.result)
  }

  #settleExit(id: number, exit: ProcessExit): void {
    const settle = this.#exits.get(id)
    this.#exits.delete(id)
    settle?.(exit)
  }

  #lose(): void {
    const error = hostErrors.error('launcher_lost', {
      message: 'The launcher thread ended during the call. Try again: the next call starts another thread.',
      cause: this.#failure ?? undefined,
      retryable: true,
    })
    const owed = this.#pending.size + this.#exits.size
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#pending.clear()
    for (const id of [...this.#exits.keys()]) this.#settleExit(id, { code: null, signal: null })
    this.#onLost(owed > 0 || this.#failure !== null ? error : null)
  }
}

function receivedError(sent: SentError): EngineError {
  const error = new EngineError(sent)
  if (sent.stack !== undefined) error.stack = sent.stack
  return error
}

/** Waits for the thread's reply even after an abort, because only then it is known what is to be undone. */
async function replyOrUndo<T>(
  reply: Promise<T>,
  call: CallOptions | undefined,
  what: string,
  undo: (result: T) => Promise<unknown>,
): Promise<T> {
  const result = await reply
  if (call?.signal?.aborted) {
    await undo(result)
    throw abortError(call.signal, what)
  }
  return result
}

/** The launcher of one process. */
export class ThreadLauncher implements Launcher {
  readonly #options: LauncherOptions
  #thread: LauncherThread | null = null
  #disposal: Promise<void> | null = null

  constructor(options: LauncherOptions) {
    this.#options = options
  }

  /**
   * Starts the thread ahead of the first call, which else takes some 60 ms longer. A machine on which it cannot work is
   * reported by that call, not here.
   */
  prepare(): void {
    if (!this.#thread)
      this.#running()
        .send({ verb: 'prepare' })
        .reply.catch(() => {})
  }

  async launch(request: LaunchRequest, call?: CallOptions): Promise<LaunchedProcess> {
    throwIfAborted(call, `Starting ${request.file}`)
    const thread = this.#running()
    const exit = Promise.withResolvers<ProcessExit>()
    let refs = 0
    let ended = false
    const { id, reply } = thread.send({ verb: 'launch', request }, (how) => {
      ended = true
      for (; refs > 0; refs--) thread.unref()
      exit.resolve(how)
    })
    const started = await replyOrUndo(reply as Promise<{ pid: number }>, call, `Starting ${request.file}`, () => {
      if (!ended) thread.ref()
      if (!ended) refs++
      thread.kill(id)
      return exit.promise
    })
    return {
      pid: started.pid,
      exited: exit.promise,
      ref() {
        if (ended) return
        refs++
        thread.ref()
      },
      unref() {
        if (ended || refs === 0) return
        refs--
        thread.unref()
      },
    }
  }

  async mount(root: RootMount, call?: CallOptions): Promise<MountLease> {
    throwIfAborted(call, `Mounting ${root.target}`)
    const thread = this.#running()
    const { id, reply } = thread.send({ verb: 'mount', root })
    let disposal: Promise<void> | null = null
    const unmount = async () => {
      // A lost thread has taken its mounts along.
      if (this.#thread !== thread) return
      const { held } = (await thread.send({ verb: 'unmount', lease: id }).reply) as { held: number | null }
      if (held !== null) await new Promise<void>((resolve) => close(held, () => resolve()))
    }
    const dispose = () => {
      disposal ??= unmount()
      return disposal
    }
    const { path } = await replyOrUndo(reply as Promise<{ path: string }>, call, `Mounting ${root.target}`, dispose)
    return { path, [Symbol.asyncDispose]: dispose }
  }

  async createNetns(plan: NetnsPlan, call?: CallOptions): Promise<Netns> {
    throwIfAborted(call, 'Making a network namespace')
    const { reply } = this.#running().send({ verb: 'netns', plan })
    const made = await replyOrUndo(
      reply as Promise<{ fd: number; inode: number }>,
      call,
      'Making a network namespace',
      async ({ fd }) => closeSync(fd),
    )
    let open = true
    return {
      ...made,
      path: `/proc/${process.pid}/fd/${made.fd}`,
      async [Symbol.asyncDispose]() {
        // Once only: the number may belong to another file by now.
        if (open) closeSync(made.fd)
        open = false
      },
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#end()
    return this.#disposal
  }

  async #end(): Promise<void> {
    const thread = this.#thread
    if (!thread) return
    thread.ref()
    thread.leave()
    await thread.ended
  }

  #running(): LauncherThread {
    if (this.#disposal) throw callErrors.error('disposed', { message: 'The launcher was used after its disposal.' })
    if (this.#thread) return this.#thread
    const thread = new LauncherThread(this.#options.entry ?? workerEntry('launcher'), (error) => {
      this.#thread = null
      if (error !== null && !this.#disposal)
        this.#options.diagnostics({
          level: 'error',
          source: 'host.launcher',
          message: 'The launcher thread ended; the next call starts another.',
          error,
        })
    })
    this.#thread = thread
    return thread
  }
}

/** The launcher of this process; its thread starts with the first call. */
export function createLauncher(options: LauncherOptions): ThreadLauncher {
  return new ThreadLauncher(options)
}
