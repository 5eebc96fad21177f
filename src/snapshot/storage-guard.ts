import { setTimeout as sleep } from 'node:timers/promises'
import type { DraftId, SnapshotId } from '../driver-kit/ids.ts'
import type {
  ChangeHint,
  PrepareOptions,
  SnapshotInfo,
  SnapshotUsage,
  StorageCapabilities,
  StorageDriver,
  StorageHealth,
} from '../driver-kit/storage-driver.ts'
import { abortError, callErrors } from '../errors/call-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { fromNodeError } from '../errors/host-errors.ts'
import { storageErrors } from '../errors/storage-errors.ts'
import type { MountSpec } from '../host/mount-spec.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { KeyedLock } from '../lifetime/keyed-lock.ts'
import { ParentLock } from './parent-lock.ts'

type AnyId = DraftId | SnapshotId

export interface GuardOptions {
  /** Milliseconds that an aborted call waits for a driver that does not look at its signal. Default 2,000. */
  readonly graceMs?: number | undefined
}

/**
 * Stands around every storage driver, shipped or foreign, so that a driver need not care for: use after disposal,
 * double disposal, disposal while calls run, two calls for one id at a time, removal of a parent while a draft is made
 * upon it, signals that it does not look at (the caller is freed, and what the call makes late is removed), methods it
 * does not have, and errors that are not ours.
 */
export class StorageGuard implements StorageDriver {
  readonly name: string
  readonly capabilities: StorageCapabilities
  readonly #inner: StorageDriver
  readonly #graceMs: number
  readonly #ids = new KeyedLock<string>()
  readonly #parents = new ParentLock()
  readonly #running = new Set<Promise<unknown>>()
  #disposal: Promise<void> | null = null

  constructor(inner: StorageDriver, options?: GuardOptions) {
    this.#inner = inner
    this.name = inner.name
    this.capabilities = inner.capabilities
    this.#graceMs = options?.graceMs ?? 2_000
  }

  prepare(draft: DraftId, parent: SnapshotId | null, options?: PrepareOptions): Promise<readonly MountSpec[]> {
    if (options?.quotaBytes !== undefined) {
      if (!this.capabilities.quota) return this.#noQuota(draft)
      if (!isSize(options.quotaBytes)) return badSize(draft, options.quotaBytes)
    }
    if (options?.idMap && !this.capabilities.idMap) {
      const reason = this.capabilities.reasons?.idMap
      return this.#unsupported(reason === undefined ? 'shifted owners' : `shifted owners, because ${reason}`, draft)
    }
    return this.#make(draft, parent, () => this.#inner.prepare(draft, parent, options), options)
  }

  view(draft: DraftId, parent: SnapshotId | null, options?: CallOptions): Promise<readonly MountSpec[]> {
    return this.#make(draft, parent, () => this.#inner.view(draft, parent, options), options)
  }

  mounts(draft: DraftId, call?: CallOptions): Promise<readonly MountSpec[]> {
    return this.#call(`Reading the mounts of ${draft}`, call, [draft], () => this.#inner.mounts(draft, call))
  }

  changes(draft: DraftId, call?: CallOptions): Promise<ChangeHint> {
    const { changes } = this.#inner
    if (!changes || !this.capabilities.changeHint) return this.#unsupported('hints about changes', draft)
    return this.#call(`Reading the changes of ${draft}`, call, [draft], () => changes.call(this.#inner, draft, call))
  }

  commit(draft: DraftId, as: SnapshotId, options?: CallOptions): Promise<void> {
    return this.#call(`Committing ${draft}`, options, [draft, as], () => this.#inner.commit(draft, as, options))
  }

  freeze(draft: DraftId, as: SnapshotId, call?: CallOptions): Promise<void> {
    const { freeze } = this.#inner
    if (!freeze) return this.#unsupported('freezing drafts', draft)
    return this.#call(`Freezing ${draft}`, call, [draft, as], () => freeze.call(this.#inner, draft, as, call))
  }

  resize(draft: DraftId, bytes: number, call?: CallOptions): Promise<void> {
    const { resize } = this.#inner
    if (!resize || !this.capabilities.quota) return this.#noQuota(draft)
    if (!isSize(bytes)) return badSize(draft, bytes)
    return this.#call(`Resizing ${draft}`, call, [draft], () => resize.call(this.#inner, draft, bytes, call))
  }

  remove(id: AnyId, call?: CallOptions): Promise<void> {
    return this.#call(`Removing ${id}`, call, [id], () => this.#parents.remove(id, () => this.#inner.remove(id, call)))
  }

  stat(id: AnyId, call?: CallOptions): Promise<SnapshotInfo> {
    return this.#call(`Looking at ${id}`, call, [], () => this.#inner.stat(id, call))
  }

  usage(id: AnyId, call?: CallOptions): Promise<SnapshotUsage> {
    return this.#call(`Measuring ${id}`, call, [], () => this.#inner.usage(id, call))
  }

  async *list(call?: CallOptions): AsyncIterable<SnapshotInfo> {
    this.#checkOpen()
    throwIfAborted(call, 'Listing snapshots')
    try {
      for await (const info of this.#inner.list(call)) {
        this.#checkOpen()
        throwIfAborted(call, 'Listing snapshots')
        yield info
      }
    } catch (error) {
      throw this.#translate(error, 'Listing snapshots')
    }
  }

  health(call?: CallOptions): Promise<StorageHealth> {
    return this.#call('Checking storage', call, [], () => this.#inner.health(call))
  }

  reclaim(call?: CallOptions): Promise<{ readonly freedBytes: number | null }> {
    const { reclaim } = this.#inner
    if (!reclaim) return this.#call('Reclaiming space', call, [], async () => ({ freedBytes: null }))
    return this.#call('Reclaiming space', call, [], () => reclaim.call(this.#inner, call))
  }

  /** Waits for the calls that run, then disposes of the driver, once. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= (async () => {
      while (this.#running.size > 0) await Promise.allSettled([...this.#running])
      try {
        await this.#inner[Symbol.asyncDispose]()
      } catch (error) {
        throw this.#translate(error, 'Closing')
      }
    })()
    return this.#disposal
  }

  #make(
    draft: DraftId,
    parent: SnapshotId | null,
    work: () => Promise<readonly MountSpec[]>,
    call: CallOptions | undefined,
  ): Promise<readonly MountSpec[]> {
    const below = parent
    const run = below === null ? work : () => this.#parents.use(below, work)
    // The caller has been told that there is no draft.
    return this.#call(`Preparing ${draft}`, call, [draft], run, () => this.#inner.remove(draft))
  }

  /** Holds the ids until the driver is done, also when the caller was let go before. */
  async #call<T>(
    what: string,
    call: CallOptions | undefined,
    ids: readonly string[],
    work: () => Promise<T>,
    undoLate?: () => Promise<void>,
  ): Promise<T> {
    this.#checkOpen()
    throwIfAborted(call, what)
    let started = false
    const run = this.#holding([...new Set(ids)].sort(), async () => {
      throwIfAborted(call, what)
      started = true
      const result = await work()
      if (undoLate && call?.signal?.aborted) {
        await undoLate()
        throw abortError(call.signal, what)
      }
      return result
    })
    this.#running.add(run)
    void run.catch(() => {}).finally(() => this.#running.delete(run))
    try {
      return await this.#untilAborted(run, call?.signal, what, () => started)
    } catch (error) {
      throw this.#translate(error, what)
    }
  }

  #holding<T>(ids: readonly string[], work: () => Promise<T>): Promise<T> {
    const [first, ...rest] = ids
    return first === undefined ? work() : this.#ids.run(first, () => this.#holding(rest, work))
  }

  async #untilAborted<T>(
    run: Promise<T>,
    signal: AbortSignal | undefined,
    what: string,
    hasStarted: () => boolean,
  ): Promise<T> {
    if (!signal) return run
    const { promise, reject } = Promise.withResolvers<never>()
    const letGo = new AbortController()
    const onAbort = () => {
      const error = abortError(signal, what)
      if (!hasStarted()) reject(error)
      else
        sleep(this.#graceMs, undefined, { signal: letGo.signal, ref: false }).then(
          () => reject(error),
          () => {},
        )
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await Promise.race([run, promise])
    } finally {
      signal.removeEventListener('abort', onAbort)
      letGo.abort()
    }
  }

  #checkOpen(): void {
    if (this.#disposal)
      throw callErrors.error('disposed', {
        message: `Storage driver ${this.name} has been disposed of. Open the engine again.`,
        subject: { type: 'storage', id: this.name },
      })
  }

  async #noQuota(draft: DraftId): Promise<never> {
    const reason = this.capabilities.reasons?.quota
    if (reason === undefined) return this.#unsupported('size limits', draft)
    this.#checkOpen()
    throw storageErrors.error('no_quota', {
      message: `The size of ${draft} cannot be limited: ${reason}. Otherwise leave the limit out.`,
      subject: { type: 'draft', id: draft },
      details: { reason },
    })
  }

  async #unsupported(what: string, id: string): Promise<never> {
    this.#checkOpen()
    throw storageErrors.error('unsupported', {
      message: `Storage driver ${this.name} has no ${what} (asked for ${id}). Use a driver that declares it.`,
      subject: { type: 'storage', id: this.name },
    })
  }

  #translate(error: unknown, what: string): unknown {
    const typed = fromNodeError(error, what)
    if (isEngineError(typed)) return typed
    return storageErrors.error('driver_failed', {
      message: `${what} failed in storage driver ${this.name}: ${error instanceof Error ? error.message : String(error)}. Report it to the driver's author.`,
      subject: { type: 'storage', id: this.name },
      cause: error,
    })
  }
}

const isSize = (bytes: number): boolean => Number.isSafeInteger(bytes) && bytes > 0

async function badSize(draft: DraftId, bytes: number): Promise<never> {
  throw callErrors.error('bad_option', {
    message: `The size limit of ${draft} must be a whole number of bytes from 1 on, got ${bytes}.`,
    subject: { type: 'draft', id: draft },
    details: { bytes },
  })
}
