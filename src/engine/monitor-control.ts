import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DetachedHolder } from '../container/services.ts'
import type { ContainerId } from '../driver-kit/ids.ts'
import { containerErrors } from '../errors/container-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { HolderClient, type RemoteAttachOptions } from '../holder/holder-client.ts'
import type { RemoteStreams } from '../holder/remote-attachment.ts'
import { type CallOptions, raceAbort } from '../lifetime/call-options.ts'
import { SingleFlight } from '../lifetime/single-flight.ts'
import type { RootPaths } from '../state/paths.ts'

/** Where the monitor of a root listens. */
export const monitorSocket = (paths: RootPaths): string => join(paths.run, 'monitor.sock')
/** What the monitor could not tell anybody. */
export const monitorLog = (paths: RootPaths): string => join(paths.run, 'monitor.log')

/** For how long monitors that end before they can be asked are replaced. */
const retryMs = 60_000
/** How long a new monitor may take until it answers. */
const startTimeoutMs = 20_000

/** This engine's line to the monitor; starts one when none answers. Disposal leaves what is attached. */
export class MonitorControl implements DetachedHolder, Disposable {
  readonly #paths: RootPaths
  readonly #client: HolderClient
  readonly #spawn: () => Promise<void>
  readonly #starting = new SingleFlight<'monitor', void>()

  constructor(paths: RootPaths, spawn: () => Promise<void>) {
    this.#paths = paths
    this.#client = new HolderClient(monitorSocket(paths))
    this.#spawn = spawn
  }

  async start(id: ContainerId, call?: CallOptions): Promise<void> {
    await this.#ask((client) => client.tryCall({ op: 'start', id }, call), call)
  }

  attach(id: ContainerId, options: RemoteAttachOptions): Promise<RemoteStreams> {
    return this.#ask((client) => client.tryAttach(id, options), options)
  }

  /** Starts a monitor unless one answers. */
  async ensure(call?: CallOptions): Promise<void> {
    await this.#ask((client) => ping(client, call), call)
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
  }

  // A monitor that is about to leave may close between two calls: then the next one takes over.
  async #ask<T>(question: (client: HolderClient) => Promise<T | null>, call?: CallOptions): Promise<T> {
    const deadline = performance.now() + retryMs
    while (performance.now() < deadline) {
      const answer = await question(this.#client)
      if (answer !== null) return answer
      // Shared with other callers: a signal ends its own call only.
      const started = this.#starting.run('monitor', () => this.#startMonitor())
      await raceAbort(started, call?.signal, 'Starting the monitor')
    }
    throw this.#unavailable('it ended again and again')
  }

  async #startMonitor(): Promise<void> {
    const deadline = performance.now() + startTimeoutMs
    await this.#spawn()
    while (performance.now() < deadline) {
      if (await ping(this.#client)) return
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    throw this.#unavailable(`it did not answer within ${startTimeoutMs / 1000} s`)
  }

  #unavailable(why: string) {
    let said = ''
    try {
      said = readFileSync(monitorLog(this.#paths), 'utf8').slice(-2000)
    } catch {
      // No log: it never got that far.
    }
    return containerErrors.error('monitor_unavailable', {
      message: `The monitor, which holds detached containers, cannot be reached: ${why}. ${said ? `It said: ${said}` : `See ${monitorLog(this.#paths)}.`}`,
      subject: { type: 'root', id: this.#paths.root },
      retryable: true,
    })
  }
}

/** Null also when it was killed while it was asked: there is nothing that it could have begun. */
async function ping(client: HolderClient, call?: CallOptions): Promise<{ readonly pid: number } | null> {
  try {
    return await client.tryCall({ op: 'ping' }, call)
  } catch (error) {
    if (isEngineError(error, { code: 'holder.lost' })) return null
    throw error
  }
}
