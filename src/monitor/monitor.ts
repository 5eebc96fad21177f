import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { serveStreams } from '../container/attach-container.ts'
import type { ContainerCore } from '../container/container-core.ts'
import type { ContainerStatus } from '../container/container-record.ts'
import { dismissKeeper } from '../container/keeper.ts'
import type { AnyDriverDefinition } from '../driver-kit/definition.ts'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { ContainerId } from '../driver-kit/ids.ts'
import { coreParts } from '../engine/core-parts.ts'
import { coreTokens } from '../engine/core-tokens.ts'
import { checkEngineOptions } from '../engine/engine-options.ts'
import { type MonitorArguments, monitorCommand } from '../engine/monitor-command.ts'
import { monitorLog, monitorSocket } from '../engine/monitor-control.ts'
import { wire } from '../engine/wiring.ts'
import { type HolderServer, serveHolder } from '../holder/holder-server.ts'
import { type FileLock, waitLock } from '../host/file-lock.ts'
import { KeyedLock } from '../lifetime/keyed-lock.ts'
import { Scope } from '../lifetime/scope.ts'
import { RootPaths } from '../state/paths.ts'
import { startWatcher } from './watcher.ts'

/** How long a monitor without anything to hold waits for the next request. */
const idleMs = 1000
/** For how long somebody may look whether the lock is free. */
const lockMs = 200

/**
 * Holds every detached container of a root until the last one has ended. Returns false when another monitor has the
 * root already.
 */
export async function runMonitor(args: MonitorArguments, attempt: number): Promise<boolean> {
  const paths = new RootPaths(args.root)
  const lock = await takeLock(join(paths.run, 'monitor.lock'))
  if (!lock) return false
  const scope = new Scope()
  scope.defer(() => lock[Symbol.dispose]())
  try {
    const watch = (deaths: number) =>
      startWatcher({ command: monitorCommand(args), log: monitorLog(paths), attempt: deaths, diagnostics: report })
    let watcher = await watch(attempt)
    const core = await openCore(args, scope)
    const idle = Promise.withResolvers<void>()
    // Until everything is taken over an idle socket means nothing.
    let onIdle = () => {}
    dismissKeepers(core)
    const taken = Promise.withResolvers<void>()
    const server = scope.own(await serve(paths, core, taken.promise, () => onIdle()))
    // It came up: the next death is the first of its row again.
    if (await adoptAll(core)) rmSync(join(paths.run, 'monitor.tried'), { force: true })
    taken.resolve()
    if (attempt > 0) {
      const fresh = await watch(0)
      watcher[Symbol.dispose]()
      watcher = fresh
    }
    onIdle = idleCheck(core, server, idle.resolve)
    onIdle()
    await idle.promise
    watcher[Symbol.dispose]()
    return true
  } finally {
    await scope[Symbol.asyncDispose]()
  }
}

async function openCore(args: MonitorArguments, scope: Scope): Promise<ContainerCore> {
  const drivers = (await Promise.all(args.driverModules.map(loadDefinitions))).flat()
  const options = await checkEngineOptions({
    root: args.root,
    ...(args.runtime === null ? {} : { runtime: args.runtime }),
    ...(drivers.length > 0 ? { drivers } : {}),
    diagnostics: report,
  })
  const parts = wire(coreParts(options, 'monitor', scope))
  parts.get(coreTokens.owner)
  return parts.get(coreTokens.containers)
}

const report: DiagnosticsSink = ({ level, source, message, error }) => {
  if (level !== 'debug') console.error(`${new Date().toISOString()} ${level} ${source}: ${message}`, error ?? '')
}

/** Null when another monitor has it. Keepers take it for a moment to see whether a monitor lives. */
async function takeLock(path: string): Promise<FileLock | null> {
  const giveUp = AbortSignal.timeout(lockMs)
  try {
    return await waitLock(path, { signal: giveUp })
  } catch (error) {
    if (giveUp.aborted) return null
    throw error
  }
}

/** Every driver definition that a module exports. */
async function loadDefinitions(url: string): Promise<AnyDriverDefinition[]> {
  const module = (await import(url)) as Record<string, unknown>
  return Object.values(module).filter(
    (value): value is AnyDriverDefinition =>
      typeof value === 'object' && value !== null && 'kit' in value && 'open' in value && 'probe' in value,
  )
}

/** `taken`: when everything is taken over that an earlier monitor had held. */
function serve(paths: RootPaths, core: ContainerCore, taken: Promise<void>, onIdle: () => void): Promise<HolderServer> {
  const starting = new KeyedLock<string>()
  return serveHolder(
    monitorSocket(paths),
    {
      start: async (id) => {
        await taken
        await starting.run(id, () => startOrAdopt(core, id as ContainerId))
      },
      attach: async (id, stdin, replay) => {
        await taken
        return serveStreams(core.holder, core.require(id), stdin, replay)
      },
    },
    onIdle,
  )
}

/** One that runs and that nobody holds, because its record was lost meanwhile, is taken over. */
async function startOrAdopt(core: ContainerCore, id: ContainerId): Promise<void> {
  const record = core.require(id)
  if (live.has(record.status) && record.holder === null && !core.holder.get(id)) await core.adopt(record)
  else await core.start(id, undefined)
}

const live: ReadonlySet<ContainerStatus> = new Set(['starting', 'running', 'paused'])

/** Sends away what watches over containers that have ended, for the case that their last holder was killed at it. */
function dismissKeepers(core: ContainerCore): void {
  for (const { id, status } of core.list({ lifetime: 'detached' }))
    if (!live.has(status)) dismissKeeper(core.services.paths.container(id))
}

/**
 * Takes over what a monitor that was killed had held, and what started without an end being seen. False when that
 * failed for some.
 */
async function adoptAll(core: ContainerCore): Promise<boolean> {
  let all = true
  for (const { id } of core.list({ lifetime: 'detached' })) {
    const record = core.find(id)
    // One that we have been asked to start meanwhile is ours already.
    if (!record || !live.has(record.status) || record.holder === core.services.owner.id) continue
    try {
      await core.adopt(record)
    } catch (error) {
      // The others must not wait for what is wrong with this one.
      const message = `${record.name} could not be taken over.`
      report({ level: 'error', source: 'monitor', message, error, subject: id })
      all = false
    }
  }
  return all
}

/** Resolves when nothing is held and nobody asks any more; looks again after every end and every request. */
function idleCheck(core: ContainerCore, server: HolderServer, leave: () => void): () => void {
  let scheduled = false
  const check = () => {
    scheduled = false
    const held = core.holder.all()
    if (held.length > 0) void Promise.race(held.map(({ finished }) => finished)).then(schedule)
    else if (server.connections === 0)
      void core.holder.settle().then(() => (core.holder.size === 0 ? leave() : schedule()))
  }
  const schedule = () => {
    if (!scheduled) setTimeout(check, idleMs)
    scheduled = true
  }
  return schedule
}
