import type { ContainerSpec } from '../container/container-spec.ts'
import type { ContainerFilter } from '../container/list-filter.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Operation } from '../progress/operation.ts'
import type { PullPolicy } from '../transfer/transfer-options.ts'
import { Container } from './container.ts'
import type { ContainerBackend } from './container-backend.ts'
import type { ContainerPruneFilter, ContainersPruneReport } from './removal-reports.ts'

/** How to run a container. */
export interface RunOptions extends CallOptions {
  /** When the image's registry is asked. Default `missing`: when there is no such image here. */
  readonly pull?: PullPolicy | undefined
  /** Which image of a multi-platform index is pulled; `os/architecture[/variant]`. Default: this machine's. */
  readonly platform?: string | undefined
}

/** The containers of a root, of this and of other processes. */
export class Containers {
  readonly #backend: ContainerBackend

  /** @internal */
  constructor(backend: ContainerBackend) {
    this.#backend = backend
  }

  /**
   * Makes a container without starting it. The handle owns it.
   *
   * @throws `image.not_found`, `container.name_taken`, `container.bad_spec`, `call.unknown_option`, ...
   */
  async create(spec: ContainerSpec, call?: CallOptions): Promise<Container> {
    const { record, onLog } = await this.#backend.calls.run(call, (call) => this.#backend.core().create(spec, call))
    return new Container(this.#backend, record.id, true, onLog)
  }

  /**
   * Makes a container and starts it, and pulls its image before that when it is missing; resolves when its program has
   * been executed. When that fails nothing of the container is left.
   *
   * @throws as `create`, `Container.start` and `Images.pull`
   */
  run(spec: ContainerSpec, options?: RunOptions): Operation<Container> {
    return this.#backend.calls.operation(
      async (context) => {
        const { signal, report } = context
        // With the engine, which is open by now: who only imports the package does not load it.
        const { checkRunOptions } = await import('../transfer/transfer-options.ts')
        const { pull: policy = 'missing', platform } = checkRunOptions(options)
        if (typeof spec?.image === 'string') await this.#backend.bringImage(spec.image, { policy, platform }, context)
        report({ type: 'stage', stage: 'create' })
        const container = await this.create(spec, { signal })
        try {
          report({ type: 'stage', stage: 'start' })
          await container.start({ signal })
        } catch (error) {
          // Also when the engine is about to end, which refuses new calls.
          const core = this.#backend.core()
          const made = core.find(container.id)
          if (made) await core.remove(made, { force: true })
          throw error
        }
        return container
      },
      options,
      'containers.run',
    )
  }

  /** By id, name or unique id prefix. The handle owns nothing. @throws `container.not_found`, `container.ambiguous` */
  async get(idOrName: string, _call?: CallOptions): Promise<Container> {
    return new Container(this.#backend, this.#backend.core().require(idOrName).id, false)
  }

  /** Like `get`, null when there is none. */
  async find(idOrName: string, _call?: CallOptions): Promise<Container | null> {
    const record = this.#backend.core().find(idOrName)
    return record && new Container(this.#backend, record.id, false)
  }

  /** In any state, newest first, unless the filter says otherwise. */
  async *list(filter?: ContainerFilter, _call?: CallOptions): AsyncIterable<Container> {
    for (const record of this.#backend.core().list(filter)) yield new Container(this.#backend, record.id, false)
  }

  /**
   * Removes containers that ended, and those that were made more than a minute ago (or before `until`) and never
   * started. One that is started meanwhile stays, and so do those that another living process owns.
   */
  async prune(filter?: ContainerPruneFilter, call?: CallOptions): Promise<ContainersPruneReport> {
    return this.#backend.calls.run(call, (call) => this.#backend.prune(filter, call))
  }
}
