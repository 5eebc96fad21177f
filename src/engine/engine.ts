import { callErrors } from '../errors/call-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { RunningCalls } from '../progress/running-calls.ts'
import type { EngineEvent, EventQuery } from '../state/event-journal.ts'
import type { CheckOptions, ConsistencyReport } from './check-engine.ts'
import type { EngineGarbageReport } from './collect-engine-garbage.ts'
import { Containers } from './containers.ts'
import { coreTokens } from './core-tokens.ts'
import type { DiskUsage, DiskUsageOptions } from './disk-usage.ts'
import type { EngineCore } from './engine-core.ts'
import { checkEngineOptions, type EngineOptions } from './engine-options.ts'
import { Image, type ImageBackend } from './image.ts'
import { Images } from './images.ts'
import type { EngineInfo } from './info.ts'
import { Networks } from './networks.ts'
import type { ProbeReport } from './probe.ts'
import type { PruneOptions, PruneReport } from './prune-engine.ts'
import { Registries } from './registries.ts'

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
  readonly registries: Registries
  readonly #core: EngineCore
  readonly #calls = new RunningCalls()
  #disposal: Promise<void> | null = null
  #disposed = false

  private constructor(core: EngineCore) {
    this.#core = core
    const images: ImageBackend = {
      calls: this.#calls,
      images: () => this.#open().get(coreTokens.images),
      verbs: () => this.#open().images,
      transfer: () => this.#open().get(coreTokens.transfer),
      registries: () => this.#open().get(coreTokens.registries),
      trees: () => this.#open().get(coreTokens.trees),
      ...core.transfers,
    }
    this.images = new Images(images)
    this.containers = new Containers({
      calls: this.#calls,
      core: () => this.#open().containers,
      monitor: core.get(coreTokens.monitor),
      bringImage: (image, options, context) => this.#open().bringImage(image, options, context),
      diff: (id, call) => this.#open().diff(id, call),
      commit: async (id, options, context) => new Image(images, await this.#open().commit(id, options, context)),
      prune: (filter, call) => this.#open().pruneContainers(filter, call),
      exportRootfs: (id, target, call) => this.#open().exportRootfs(id, target, call),
    })
    this.networks = new Networks(() => this.#open().get(coreTokens.networks))
    this.registries = new Registries(() => this.#open().get(coreTokens.registries))
  }

  /**
   * Opens an engine: makes or upgrades the data root, chooses drivers by trying them, and takes back what dead
   * processes left.
   *
   * @throws `call.unknown_option`, `call.bad_option`, `engine.not_privileged`, `engine.no_usable_driver`,
   * `engine.unknown_driver`, `state.*`
   */
  static async open(options?: EngineOptions, call?: CallOptions): Promise<Engine> {
    const parsed = await checkEngineOptions(options)
    throwIfAborted(call, 'Engine.open')
    const { EngineCore } = await import('./engine-core.ts')
    return new Engine(await EngineCore.open(parsed, call))
  }

  /** Says what this machine has and lacks, with the package that brings it. Changes nothing. */
  static async probe(options?: EngineOptions, call?: CallOptions): Promise<ProbeReport> {
    const parsed = await checkEngineOptions(options)
    const { EngineCore } = await import('./engine-core.ts')
    return EngineCore.probe(parsed, call)
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
    const parsed = await checkEngineOptions(options)
    throwIfAborted(call, 'Engine.repair')
    const { EngineCore } = await import('./engine-core.ts')
    let rebuilt = await EngineCore.rebuildRecords(parsed, false, call)
    for (;;) {
      try {
        await using engine = new Engine(await EngineCore.open(parsed, call, 'repair'))
        const { problems } = await engine.check({ ...check, repair: true }, call)
        return { problems: [...(rebuilt?.problems ?? []), ...problems], setAside: rebuilt?.setAside ?? null }
      } catch (error) {
        // A record that SQLite reads and we cannot.
        if (rebuilt !== null || !isEngineError(error, { code: 'state.corrupt' })) throw error
        rebuilt = await EngineCore.rebuildRecords(parsed, true, call)
      }
    }
  }

  /** Everything that happens on the root, whichever process does it: none is missed, none comes twice. */
  events(query?: EventQuery): AsyncIterable<EngineEvent> {
    const journal = this.#open().get(coreTokens.journal)
    return journal.read({ ...query, signal: this.#calls.signal(query?.signal) })
  }

  /** The engine at a glance: drivers, counts, kernel. */
  async info(call?: CallOptions): Promise<EngineInfo> {
    return this.#calls.run(call, (call) => this.#open().info(call))
  }

  /** What images and containers take on the disk; what several images share is counted once. */
  async diskUsage(options?: DiskUsageOptions): Promise<DiskUsage> {
    return this.#calls.run(options, (call) => this.#open().diskUsage({ ...options, ...call }))
  }

  /** Removes what nothing uses: stopped containers and dangling images, unless it is said what else. */
  async prune(what?: PruneOptions, call?: CallOptions): Promise<PruneReport> {
    return this.#calls.run(call, (call) => this.#open().prune(what, call))
  }

  /** Removes blobs, layers and kernel objects that nothing needs any more. */
  async gc(call?: CallOptions): Promise<EngineGarbageReport> {
    return this.#calls.run(call, (call) => this.#open().gc(call))
  }

  /** Compares the records with what is on disk; `repair` mends what can be, beside other processes that use the root. */
  async check(options: CheckOptions = {}, call?: CallOptions): Promise<ConsistencyReport> {
    const problems = await this.#calls.run(call, (call) => this.#open().check(options, call))
    return { problems, setAside: null }
  }

  /**
   * Ends and removes every container of the root, of other processes too, all images and layers, and what the root has
   * in the kernel: bridges, rules, addresses. For `tscontainer reset`, which then deletes the directory. Gives the ids of
   * the containers.
   */
  async reset(call?: CallOptions): Promise<readonly string[]> {
    return this.#calls.run(call, (call) => this.#open().reset(call))
  }

  /**
   * Ends calls that are under way (`call.disposed`), and waits for what they undo. Then it ends and removes `process`
   * containers of this engine (kept ones are only stopped), leaves detached ones alone, and leaves no handle of ours open.
   * Can be called twice.
   */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#end()
    return this.#disposal
  }

  async #end(): Promise<void> {
    // What they undo needs the engine.
    await this.#calls.end()
    this.#disposed = true
    await this.#core[Symbol.asyncDispose]()
  }

  #open(): EngineCore {
    if (!this.#disposed) return this.#core
    throw callErrors.error('disposed', { message: 'The engine was used after its disposal. Open another one.' })
  }
}
