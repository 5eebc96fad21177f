import type { ContainerCore } from '../container/container-core.ts'
import { sweepDeadOwners } from '../container/sweep.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { raceAbort } from '../lifetime/call-options.ts'
import { Scope } from '../lifetime/scope.ts'
import { coreParts } from './core-parts.ts'
import { coreTokens } from './core-tokens.ts'
import type { ParsedEngineOptions } from './engine-options.ts'
import type { Parts, Token } from './parts.ts'
import { requirePrivilege } from './require-privilege.ts'
import { sweepCgroups } from './sweep-cgroups.ts'
import { wire } from './wiring.ts'

/**
 * An open engine behind its facade. `Engine.open` loads this file and all below it, so that importing the package costs
 * a process little until it opens an engine.
 */
export class EngineCore implements AsyncDisposable {
  readonly parts: Parts
  readonly containers: ContainerCore
  readonly #scope: Scope

  private constructor(parts: Parts, containers: ContainerCore, scope: Scope) {
    this.parts = parts
    this.containers = containers
    this.#scope = scope
  }

  static async open(options: ParsedEngineOptions, call?: CallOptions): Promise<EngineCore> {
    requirePrivilege()
    const scope = new Scope()
    try {
      const parts = wire([...coreParts(options, 'engine', scope), ...(options.parts ?? [])])
      const containers = await raceAbort(start(parts, scope), call?.signal, 'Engine.open')
      return new EngineCore(parts, containers, scope)
    } catch (error) {
      await scope[Symbol.asyncDispose]()
      throw error
    }
  }

  get<T>(token: Token<T>): T {
    return this.parts.get(token)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]()
  }
}

async function start(parts: Parts, scope: Scope): Promise<ContainerCore> {
  parts.get(coreTokens.owner)
  parts.get(coreTokens.host).prepare()
  const containers = await parts.get(coreTokens.containers)
  scope.defer(() => containers[Symbol.asyncDispose]())
  await sweep(parts, containers)
  return containers
}

/** Takes back what dead processes left. */
async function sweep(parts: Parts, { services }: ContainerCore): Promise<void> {
  const t = coreTokens
  const owners = parts.get(t.owners)
  const report = await sweepDeadOwners(services, owners)
  const storage = await parts.get(t.storage)
  await storage.sweep(report.owners.map((owner) => owner.id))
  for (const owner of report.owners) {
    await sweepCgroups(parts.get(t.host).cgroups, owner.id)
    owners.forget(owner.id)
  }
  // Rules and claims that a killed process left, and foreign changes behind the backs of containers that run on.
  if (report.owners.length > 0) await parts.get(t.networks).reconcile()
  const held = services.records
    .all()
    .some(({ lifetime, status }) => lifetime === 'detached' && ['starting', 'running', 'paused'].includes(status))
  // Somebody must hold the pipes of detached containers; a monitor that lives answers at once.
  if (held) await parts.get(t.monitor).ensure()
}
