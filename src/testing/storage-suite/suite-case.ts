import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { DriverContext } from '../../driver-kit/context.ts'
import type { DraftId, SnapshotId } from '../../driver-kit/ids.ts'
import type { StorageDriver } from '../../driver-kit/storage-driver.ts'
import { isEngineError } from '../../errors/engine-error.ts'
import { type ErrorKind, errorKinds } from '../../errors/kinds.ts'
import type { MountSpec } from '../../host/mount-spec.ts'
import { type FaultKind, FaultPlan } from '../fault-plan.ts'
import { type Abilities, findAbilities } from './abilities.ts'
import type { StorageSuiteOptions, SuiteContext } from './suite-options.ts'

export const draftId = (name: string): DraftId => name as DraftId
export const snapshotId = (name: string): SnapshotId => name as SnapshotId

/** One check: a fresh root, the driver opened in it, and ways to look at what it holds. */
export class StorageCase<Options = unknown> implements AsyncDisposable {
  readonly #suite: StorageSuiteOptions<Options>
  readonly #place: SuiteContext
  readonly options: Options
  #plan: FaultPlan
  #driver: StorageDriver | null = null
  #abilities: Promise<Abilities> | null = null
  #mounts = 0
  #counter = 0

  private constructor(suite: StorageSuiteOptions<Options>, place: SuiteContext, options: Options) {
    this.#suite = suite
    this.#place = place
    this.options = options
    this.#plan = new FaultPlan(place.context.host)
  }

  static async create<Options>(
    suite: StorageSuiteOptions<Options>,
    place: SuiteContext,
    options: unknown,
  ): Promise<StorageCase<Options>> {
    try {
      const made = new StorageCase(suite, place, suite.definition.parseOptions(options))
      await made.open()
      return made
    } catch (error) {
      await place.release()
      throw error
    }
  }

  get driver(): StorageDriver {
    assert(this.#driver, 'the driver is not open')
    return this.#driver
  }

  /** The context as the driver gets it: its host goes through the current fault plan. */
  get context(): DriverContext {
    return { ...this.#place.context, host: this.#plan.host }
  }

  /** The machine itself, past any fault. */
  get host() {
    return this.#place.context.host
  }

  /** What this process may do on this machine. */
  get abilities(): Promise<Abilities> {
    this.#abilities ??= findAbilities(this.host, this.#place.context.runDirectory)
    return this.#abilities
  }

  async open(): Promise<StorageDriver> {
    const driver = await this.#suite.definition.open(this.context, this.options)
    this.#driver = this.#suite.wrap?.(driver) ?? driver
    return this.#driver
  }

  /** Disposes of the driver and opens it again. */
  async reopen(): Promise<StorageDriver> {
    await this.driver[Symbol.asyncDispose]()
    this.#plan = new FaultPlan(this.#place.context.host)
    return this.open()
  }

  /** Loses the driver as SIGKILL would, and opens it again. */
  async crash(): Promise<StorageDriver> {
    this.#plan.crash()
    this.#plan = new FaultPlan(this.#place.context.host)
    return this.open()
  }

  /** Counts the driver's calls of the host from now on; the `at`-th meets a fault (0: none does). */
  arm(at: number, kind: FaultKind = 'error'): FaultPlan {
    this.#plan.arm(at, kind)
    return this.#plan
  }

  /** Mounts a tree where this process can see it while `work` runs. */
  async mounted<T>(mounts: readonly MountSpec[], work: (root: string) => T | Promise<T>): Promise<T> {
    const target = join(this.#place.context.runDirectory, `m${this.#mounts++}`)
    mkdirSync(target)
    const lease = await this.host.launcher.mount({ target, mounts })
    try {
      return await work(lease.path)
    } finally {
      await lease[Symbol.asyncDispose]()
    }
  }

  /** Makes a snapshot upon another, with what `change` does to it. */
  async layer(
    as: string,
    parent: string | null,
    change: (root: string) => void | Promise<void> = () => {},
  ): Promise<SnapshotId> {
    const draft = this.newDraft()
    await this.mounted(await this.driver.prepare(draft, parent === null ? null : snapshotId(parent)), change)
    await this.driver.commit(draft, snapshotId(as))
    return snapshotId(as)
  }

  /** Looks at a snapshot through a view of it, which is removed again. */
  async look<T>(at: string, work: (root: string) => T | Promise<T>): Promise<T> {
    const view = this.newDraft()
    const result = await this.mounted(await this.driver.view(view, snapshotId(at)), work)
    await this.driver.remove(view)
    return result
  }

  newDraft(): DraftId {
    return draftId(`draft-${this.#counter++}`)
  }

  async listed(): Promise<readonly string[]> {
    const found: string[] = []
    for await (const { id, kind, parent } of this.driver.list()) found.push(`${kind} ${id} < ${parent ?? '-'}`)
    return found.sort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#driver?.[Symbol.asyncDispose]()
    } finally {
      await this.#place.release()
    }
  }
}

/** Asserts that a call fails with an error of ours of this kind, and gives the error back. */
export async function failsWith(kind: ErrorKind, work: Promise<unknown>) {
  assert(errorKinds.includes(kind))
  try {
    await work
  } catch (error) {
    assert(isEngineError(error), `expected an error of kind ${kind}, got ${String(error)}`)
    assert.equal(error.kind, kind, error.stack)
    assert(error.message.length > 20, 'the message must say what was tried and what to do')
    return error
  }
  throw new assert.AssertionError({ message: `expected an error of kind ${kind}, but the call succeeded` })
}
