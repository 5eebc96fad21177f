import type { ContainerCore } from '../container/container-core.ts'
import { type SweepReport, sweepDeadOwners } from '../container/sweep.ts'
import { callErrors } from '../errors/call-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, raceAbort, throwIfAborted } from '../lifetime/call-options.ts'
import { Scope } from '../lifetime/scope.ts'
import type { EngineEvent, EventQuery } from '../state/event-journal.ts'
import { type CheckOptions, type ConsistencyReport, checkEngine } from './check-engine.ts'
import { collectEngineGarbage, type EngineGarbageReport } from './collect-engine-garbage.ts'
import { Containers } from './containers.ts'
import { coreParts } from './core-parts.ts'
import { coreTokens } from './core-tokens.ts'
import { type EngineOptions, parseEngineOptions } from './engine-options.ts'
import { exportContainer } from './export-container.ts'
import { Images } from './images.ts'
import { type EngineInfo, readEngineInfo } from './info.ts'
import { Networks } from './networks.ts'
import { type ProbeReport, probeMachine } from './probe.ts'
import { rebuildRecords } from './rebuild-records.ts'
import { requirePrivilege } from './require-privilege.ts'
import { resetEngine } from './reset-engine.ts'
import { sweepCgroups } from './sweep-cgroups.ts'
import { type Parts, wire } from './wiring.ts'

/**
 * A container engine in this process. Several may be open at once, on one root or on several, in one process or in many.
 *
 * ```ts
 * await using engine = await Engine.open()
 * const [image] = await engine.images.load('busybox.tar')
 * await using web = await engine.containers.run({ image, command: ['httpd', '-f'] })
 * ```
 */
export class Engine implements AsyncDisposable {
  readonly images: Images
  readonly containers: Containers
  readonly networks: Networks
  readonly #parts: Parts
  readonly #scope: Scope
  #disposed = false

  private constructor(parts: Parts, scope: Scope) {
    this.#parts = parts
    this.#scope = scope
    const part = <T>(read: (parts: Parts) => T): T => {
      if (this.#disposed)
        throw callErrors.error('disposed', { message: 'The engine was used after its disposal. Open another one.' })
      return read(this.#parts)
    }
    this.images = new Images({
      images: () => part((p) => p.get(coreTokens.images)),
      transfer: () => part((p) => p.get(coreTokens.transfer)),
    })
    this.containers = new Containers({
      core: () => part(() => this.#core),
      monitor: parts.get(coreTokens.monitor),
      exportRootfs: (id, target, call) =>
        exportContainer(
          part((p) => p),
          id,
          target,
          call,
        ),
    })
    this.networks = new Networks(() => part((p) => p.get(coreTokens.networks)))
  }

  /**
   * Opens an engine: makes or upgrades the data root, chooses drivers by trying them, and takes back what dead
   * processes left.
   *
   * @throws `call.unknown_option`, `call.bad_option`, `engine.not_privileged`, `engine.no_usable_driver`,
   * `engine.unknown_driver`, `state.*`
   */
  static async open(options?: EngineOptions, call?: CallOptions): Promise<Engine> {
    const parsed = parseEngineOptions(options)
    throwIfAborted(call, 'Engine.open')
    requirePrivilege()
    const scope = new Scope()
    try {
      const parts = wire([...coreParts(parsed, 'engine', scope), ...(parsed.parts ?? [])])
      const engine = new Engine(parts, scope)
      await raceAbort(engine.#start(), call?.signal, 'Engine.open')
      return engine
    } catch (error) {
      await scope[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Says what this machine has and lacks, with the package that brings it. Changes nothing. */
  static probe(options?: EngineOptions, call?: CallOptions): Promise<ProbeReport> {
    return probeMachine(parseEngineOptions(options), call)
  }

  /**
   * `check` with `repair`, also for a root that cannot be opened because its state.db is damaged or gone: then the
   * records are built anew from what is on disk, and the damaged file is kept beside them under another name. Detached
   * containers run on meanwhile. What only the records knew is lost: events, and `process` containers that nobody kept.
   * An interrupted repair is gone on with by the next one.
   *
   * @throws `state.in_use` when records must be built anew while other engines have the root open; what `open` throws
   */
  static async repair(
    options?: EngineOptions,
    check: Omit<CheckOptions, 'repair'> = {},
    call?: CallOptions,
  ): Promise<ConsistencyReport> {
    const parsed = parseEngineOptions(options)
    throwIfAborted(call, 'Engine.repair')
    requirePrivilege()
    let rebuilt = await rebuildRecords(parsed, false, call)
    for (;;) {
      try {
        await using engine = await Engine.open(options, call)
        const { problems } = await engine.check({ ...check, repair: true }, call)
        return { problems: [...(rebuilt?.problems ?? []), ...problems], setAside: rebuilt?.setAside ?? null }
      } catch (error) {
        // A record that SQLite reads and we cannot.
        if (rebuilt !== null || !isEngineError(error, { code: 'state.corrupt' })) throw error
        rebuilt = await rebuildRecords(parsed, true, call)
      }
    }
  }

  /** Everything that happens on the root, whichever process does it: none is missed, none comes twice. */
  events(query?: EventQuery): AsyncIterable<EngineEvent> {
    return this.#part(coreTokens.journal).read(query)
  }

  /** The engine at a glance: drivers, counts, kernel. */
  async info(call?: CallOptions): Promise<EngineInfo> {
    return readEngineInfo(this.#open(), call)
  }

  /** Removes blobs, layers and kernel objects that nothing needs any more. */
  async gc(call?: CallOptions): Promise<EngineGarbageReport> {
    return collectEngineGarbage(this.#open(), call)
  }

  /** Compares the records with what is on disk; `repair` mends what can be, beside other processes that use the root. */
  async check(options: CheckOptions = {}, call?: CallOptions): Promise<ConsistencyReport> {
    return { problems: await checkEngine(this.#open(), options, call), setAside: null }
  }

  /**
   * Ends and removes every container of the root, of other processes too, all images and layers, and what the root has
   * in the kernel: bridges, rules, addresses. For `tscontainer reset`, which then deletes the directory. Gives the ids of
   * the containers.
   */
  async reset(call?: CallOptions): Promise<readonly string[]> {
    return resetEngine(this.#open(), call)
  }

  /**
   * Ends and removes `process` containers of this engine (kept ones are only stopped), leaves detached ones alone, and
   * leaves no handle of ours open. Can be called twice.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return
    this.#disposed = true
    await this.#scope[Symbol.asyncDispose]()
  }

  async #start(): Promise<void> {
    const owners = this.#part(coreTokens.owners)
    this.#part(coreTokens.owner)
    this.#part(coreTokens.host).prepare()
    this.#opened = await this.#part(coreTokens.containers)
    this.#scope.defer(() => this.#core[Symbol.asyncDispose]())
    await this.#sweep(owners)
  }

  #opened: ContainerCore | null = null

  get #core() {
    if (!this.#opened) throw callErrors.error('internal', { message: 'The engine is not open yet.' })
    return this.#opened
  }

  async #sweep(owners: Parameters<typeof sweepDeadOwners>[1]): Promise<SweepReport> {
    const { services } = this.#core
    const report = await sweepDeadOwners(services, owners)
    const storage = await this.#part(coreTokens.storage)
    await storage.sweep(report.owners.map((owner) => owner.id))
    for (const owner of report.owners) {
      await sweepCgroups(this.#part(coreTokens.host).cgroups, owner.id)
      owners.forget(owner.id)
    }
    // Rules and claims that a killed process left, and foreign changes behind the backs of containers that run on.
    if (report.owners.length > 0) await this.#part(coreTokens.networks).reconcile()
    const held = services.records
      .all()
      .some(({ lifetime, status }) => lifetime === 'detached' && ['starting', 'running', 'paused'].includes(status))
    // Somebody must hold the pipes of detached containers; a monitor that lives answers at once.
    if (held) await this.#part(coreTokens.monitor).ensure()
    return report
  }

  #open(): Parts {
    if (this.#disposed)
      throw callErrors.error('disposed', { message: 'The engine was used after its disposal. Open another one.' })
    return this.#parts
  }

  #part: Parts['get'] = (token) => this.#open().get(token)
}
