import type { DriverHost } from '../driver-kit/driver-host.ts'
import type { FileLock } from '../host/file-lock.ts'

/**
 * What happens at the chosen call of the host.
 *
 * - `error`: it fails without being done.
 * - `crash-before`, `crash-after`: the process is gone, before or after the call is done. Neither it nor any later call
 *   comes back, and locks are released as the kernel would release them.
 * - `abort`: `signal` fires just before the call is done.
 */
export type FaultKind = 'error' | 'crash-before' | 'crash-after' | 'abort'

/** The error that a fault of kind `error` fails with. */
export class InjectedFault extends Error {
  override readonly name = 'InjectedFault'
}

/**
 * Stands around a `DriverHost`, counts the calls that a driver makes and lets one of them fail. A test walks through
 * every call: it runs once to count, then once per call and fault.
 */
export class FaultPlan {
  readonly host: DriverHost
  /** Names of the calls so far, `run sync`, `launcher.mount`, `xattrs.set`, ... */
  readonly calls: string[] = []
  #abort = new AbortController()
  #at = 0
  #kind: FaultKind = 'error'
  readonly #locks = new Set<FileLock>()
  readonly #crash = Promise.withResolvers<void>()
  #isCrashed = false

  constructor(host: DriverHost) {
    this.host = this.#wrap(host, '', (lock) => this.#locks.add(lock))
  }

  /** Lets the `at`-th call from now, counted from 1, meet a fault. */
  arm(at: number, kind: FaultKind): void {
    this.calls.length = 0
    this.#at = at
    this.#kind = kind
    this.#abort = new AbortController()
  }

  /** From now on nothing fails. */
  disarm(): void {
    this.arm(0, 'error')
  }

  /** Fires with a fault of kind `abort`; a new one after each `arm`. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  get happened(): boolean {
    return this.#at > 0 && this.calls.length >= this.#at
  }

  /** Resolves when a crash has happened: what was under way then never settles. */
  get crashed(): Promise<void> {
    return this.#crash.promise
  }

  /** Lets go of the driver as a SIGKILL would: its calls never come back, its locks are free. */
  crash(): void {
    this.#isCrashed = true
    for (const lock of this.#locks) lock[Symbol.dispose]()
    this.#locks.clear()
    this.#crash.resolve()
  }

  #wrap<T extends object>(target: T, path: string, onLock: (lock: FileLock) => void): T {
    return new Proxy(target, {
      get: (object, key) => {
        const value: unknown = Reflect.get(object, key, object)
        const name = path === '' ? String(key) : `${path}.${String(key)}`
        if (typeof key === 'symbol') return value
        if (typeof value === 'function')
          return (...args: unknown[]) => this.#call(name, args, () => Reflect.apply(value, object, args), onLock)
        return typeof value === 'object' && value !== null ? this.#wrap(value, name, onLock) : value
      },
    })
  }

  #call(name: string, args: readonly unknown[], work: () => unknown, onLock: (lock: FileLock) => void): unknown {
    // Reading facts about the machine changes nothing, and a crash there is a crash at the call before.
    if (name === 'features' || name === 'mountTable') return work()
    const isLate = name === 'run' || name.startsWith('launcher.')
    if (this.#isCrashed) return this.#never(name, isLate)
    this.calls.push(name === 'run' ? `run ${String(args[0])}` : name)
    if (this.calls.length !== this.#at) return note(work())
    switch (this.#kind) {
      case 'error': {
        const fault = new InjectedFault(`injected fault at call ${this.#at}, ${name}`)
        if (isLate) return Promise.reject(fault)
        throw fault
      }
      case 'abort':
        this.#abort.abort(new Error('aborted by the fault plan'))
        return note(work())
      case 'crash-before':
        this.crash()
        return this.#never(name, isLate)
      case 'crash-after': {
        const done = work()
        if (!(done instanceof Promise)) {
          this.crash()
          return this.#never(name, isLate)
        }
        return done.then(
          () => this.#crashLater(),
          () => this.#crashLater(),
        )
      }
    }

    function note(result: unknown): unknown {
      if (name === 'tryLock' && result !== null) onLock(result as FileLock)
      return result
    }
  }

  #crashLater(): Promise<never> {
    this.crash()
    return new Promise<never>(() => {})
  }

  // A synchronous call cannot stay pending; the error ends the driver's code there, and what its rollback still does
  // with plain file calls is less than what a real crash leaves.
  #never(name: string, isLate: boolean): unknown {
    if (isLate) return new Promise<never>(() => {})
    throw new InjectedFault(`the process crashed before ${name}`)
  }
}
