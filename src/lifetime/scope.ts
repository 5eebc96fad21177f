type Release = () => void | Promise<void>

/**
 * Owns things that must be released, and releases them last in first out, each once, even when one of them fails.
 * `disarm` forgets them: the way to hand over what a rollback would have undone.
 */
export class Scope implements AsyncDisposable {
  #releases: Release[] = []
  #disposal: Promise<void> | null = null

  get disposed(): boolean {
    return this.#disposal !== null
  }

  /** Registers a release. On a disposed scope it runs at once, so that a late resource is never leaked. */
  defer(release: Release): void {
    if (this.#disposal) void this.#disposal.then(release, release)
    else this.#releases.push(release)
  }

  /** Registers a disposable and gives it back. */
  own<T extends AsyncDisposable | Disposable>(resource: T): T {
    this.defer(() =>
      Symbol.asyncDispose in resource
        ? Promise.resolve((resource as AsyncDisposable)[Symbol.asyncDispose]())
        : (resource as Disposable)[Symbol.dispose](),
    )
    return resource
  }

  /** Forgets every registered release. */
  disarm(): void {
    this.#releases = []
  }

  /** Releases everything, the newest first. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release()
    return this.#disposal
  }

  async #release(): Promise<void> {
    const failures: unknown[] = []
    for (let release = this.#releases.pop(); release; release = this.#releases.pop()) {
      try {
        await release()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length === 1) throw failures[0]
    if (failures.length > 1) throw new AggregateError(failures, `${failures.length} releases failed`)
  }
}

/**
 * Runs `work` with a scope whose releases undo it: they run when `work` fails and are forgotten when it succeeds.
 * Rollback never sees the caller's signal. A failing rollback is attached to the error, it does not replace it.
 */
export async function withRollback<T>(work: (rollback: Scope) => Promise<T>): Promise<T> {
  const rollback = new Scope()
  try {
    const result = await work(rollback)
    rollback.disarm()
    return result
  } catch (error) {
    try {
      await rollback[Symbol.asyncDispose]()
    } catch (rollbackError) {
      throw new AggregateError([error, rollbackError], `${String(error)} (and its rollback failed)`, { cause: error })
    }
    throw error
  }
}
