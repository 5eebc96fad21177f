import type { LogEntry } from '../driver-kit/log-driver.ts'
import type { RuntimeExit } from '../driver-kit/runtime-driver.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { keepAlive } from '../lifetime/keep-alive.ts'
import { type Scope, withRollback } from '../lifetime/scope.ts'
import { resumeLogPump } from '../logging/log-pump.ts'
import type { RuntimeSpec } from '../oci/runtime-spec.ts'
import { buildRuntimeSpec } from '../runtime/build-spec.ts'
import { hostDevices, parseDeviceRule, resolveDevices } from '../runtime/devices.ts'
import { containerOomScore } from '../runtime/host-limits.ts'
import { defaultCapabilities } from '../runtime/process-defaults.ts'
import type { ResolvedUser } from '../runtime/resolve-user.ts'
import { resolveResources } from '../runtime/resources.ts'
import { resolveCapabilities } from '../runtime/security.ts'
import { resolveRlimits } from '../runtime/ulimits.ts'
import { openSink } from './container-log.ts'
import type { ContainerRecord } from './container-record.ts'
import { durabilityOf } from './container-records.ts'
import { markStdinEnded, openStdio } from './container-stdio.ts'
import { type Keeper, startKeeper } from './keeper.ts'
import type { LocalHolder } from './local-holder.ts'
import { removeContainer } from './remove-container.ts'
import type { RootFacts } from './root-facts.ts'
import { leaseRoot } from './root-lease.ts'
import type { RunningContainer } from './running-container.ts'
import type { ContainerNetworking, ContainerServices } from './services.ts'
import { isRunning, stateConflict } from './state-guards.ts'
import { StdinWriter } from './stdin-writer.ts'

export interface StartOptions extends CallOptions {
  readonly onLog?: ((entry: LogEntry) => void) | undefined
}

/**
 * Runs the container's program, held by this process. Resolves when the program has been executed; a container that
 * runs already is no error. When it fails the container is as it was, with the reason in its record.
 */
export async function startContainer(
  services: ContainerServices,
  holder: LocalHolder,
  facts: RootFacts,
  record: ContainerRecord,
  options: StartOptions = {},
): Promise<void> {
  throwIfAborted(options, `start of ${record.name}`)
  using _quick = services.quickMoves()
  await services.turns.next()
  throwIfAborted(options, `start of ${record.name}`)
  const starting = services.records.move(record, ['created', 'exited'], 'starting', {
    holder: services.owner.id,
    error: null,
  })
  if (!starting) {
    const now = services.records.require(record.id)
    if (isRunning(now)) return
    throw stateConflict(now, 'start')
  }
  try {
    await withRollback((rollback) => launch(services, holder, facts, starting, options, rollback))
  } catch (error) {
    services.records.move(starting, ['starting'], record.status === 'exited' ? 'exited' : 'created', {
      holder: null,
      error: error instanceof Error ? error.message : String(error),
      exit: { exitCode: startFailureCode(error), signal: null, oomKilled: false, finishedAt: new Date() },
    })
    throw error
  }
}

/** Docker's exit codes for programs that could not be started. */
export function startFailureCode(error: unknown): number {
  if (isEngineError(error, { code: 'runtime.command_not_found' })) return 127
  return isEngineError(error, { code: 'runtime.command_not_executable' }) ? 126 : 125
}

async function launch(
  services: ContainerServices,
  holder: LocalHolder,
  facts: RootFacts,
  record: ContainerRecord,
  options: StartOptions,
  rollback: Scope,
): Promise<void> {
  const { spec } = record
  const directory = services.paths.container(record.id)
  const durable = durabilityOf(record.lifetime) === 'durable'
  const guarded = record.lifetime === 'process' ? services.guard() : Promise.resolve()
  // The longest waits side by side; each undoes itself when another one fails.
  const [user, networking, sink] = await allOrUndo(
    [
      facts.prepare(record, options),
      services.networks.attach({ ...record, hostname: spec.hostname, durable, directory }, spec.networks, options),
      openSink(services, record),
      guarded,
    ],
    async (_user, networking, sink) => {
      if (networking) await releaseNetworking(services, record, networking)
      await sink?.[Symbol.asyncDispose]()
    },
  )
  rollback.defer(() => releaseNetworking(services, record, networking))
  rollback.own(sink)

  await services.turns.next()
  const stdio = openStdio(record.lifetime, spec.stdin, directory)
  rollback.defer(() => stdio.closeAll())
  const pump = await resumeLogPump({
    stdout: stdio.stdout,
    stderr: stdio.stderr,
    sink,
    spoolDirectory: record.lifetime === 'detached' ? directory : undefined,
    onEntry: options.onLog,
    diagnostics: services.diagnostics,
  })
  rollback.defer(() => pump.stop())
  const keeper = record.lifetime === 'detached' ? await startKeeper(services, directory, stdio.stdin) : null
  rollback.defer(() => keeper?.leave())
  const mounts = await services.roots.mounts(record.id, options)
  const bundleSpec = await runtimeSpec(services, record, user, networking, directory)
  const task = await services.starts.run(
    async () => {
      await services.turns.next()
      return services.runtime.run(
        record.id,
        {
          directory,
          spec: bundleSpec,
          root: { target: services.paths.containerRoot, mounts },
          lookAtRoot: () => leaseRoot(services, record),
          stdio: stdio.given,
          lifetime: record.lifetime,
        },
        options,
      )
    },
    options,
    `start of ${record.name}`,
  )
  await services.turns.next()
  stdio.closeGiven()
  const stdin = stdio.stdin === null ? null : stdinOf(stdio.stdin, keeper, directory)
  const running = { task, pump, sink, stdin, keeper, networking }
  const moved = services.records.move(
    record,
    ['starting'],
    'running',
    { pid: task.pid, pidStart: task.startTime, startedAt: new Date() },
    { action: 'start' },
  )
  if (!moved) throw stateConflict(services.records.require(record.id), 'start')
  hold(services, holder, record, running, stdio.seesEnd)
}

/** The end is recorded and told to the keeper before this process lets go: then no later holder can undo it. */
export function stdinOf(descriptor: number | null, keeper: Keeper | null, directory: string): StdinWriter {
  return new StdinWriter(
    descriptor,
    keeper
      ? () => {
          markStdinEnded(directory)
          keeper.endStdin()
        }
      : undefined,
  )
}

/** Watches a running container to its end and records it; used for started and for adopted ones. */
export function hold(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  parts: Omit<RunningContainer, 'finished'>,
  seesEnd: boolean,
): void {
  const finished = finish(services, holder, record, parts, seesEnd)
  holder.hold(record.id, { ...parts, finished })
}

async function finish(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  { task, pump, sink, stdin, keeper, networking }: Omit<RunningContainer, 'finished'>,
  seesEnd: boolean,
): Promise<RuntimeExit> {
  using _alive = keepAlive()
  const exit = await task.exited
  await services.turns.next()
  await attempt(services, record, 'its last output', async () => {
    await stdin?.abandon()
    await (seesEnd ? pump.finished : pump.drainAndFinish())
    await sink[Symbol.asyncDispose]()
    task.releaseOutput?.()
  })
  // Before the record says that it has ended: afterwards nobody would look for it.
  await attempt(services, record, 'its keeper', async () => keeper?.leave())
  await attempt(services, record, 'its network', async () => {
    if (networking) await releaseNetworking(services, record, networking)
    else await services.networks.detach(record.id, durabilityOf(record.lifetime) === 'durable')
  })
  await attempt(services, record, 'its record', async () => {
    services.records.move(
      record,
      ['starting', 'running', 'paused'],
      'exited',
      { holder: null, pid: null, pidStart: null, exit },
      {
        action: 'die',
        attributes: {
          exitCode: String(exit.exitCode),
          signal: exit.signal ?? '',
          oomKilled: String(exit.oomKilled),
        },
      },
    )
  })
  holder.release(record.id)
  if (record.spec.autoRemove) {
    const removal = attempt(services, record, 'its removal', async () => {
      await removeContainer(services, holder, record, { force: false })
    })
    holder.track(removal)
  }
  return exit
}

// What goes wrong after the end has nobody to reject to.
async function attempt(services: ContainerServices, record: ContainerRecord, what: string, work: () => Promise<void>) {
  try {
    await work()
  } catch (error) {
    services.diagnostics({
      level: 'error',
      source: 'container',
      message: `${record.name} has ended, but ${what} could not be settled.`,
      error,
      subject: record.id,
    })
  }
}

async function releaseNetworking(
  services: ContainerServices,
  record: ContainerRecord,
  networking: ContainerNetworking,
): Promise<void> {
  await networking.release()
  await services.networks.detach(record.id, durabilityOf(record.lifetime) === 'durable')
}

async function runtimeSpec(
  services: ContainerServices,
  record: ContainerRecord,
  user: ResolvedUser,
  networking: ContainerNetworking,
  directory: string,
): Promise<RuntimeSpec> {
  const { spec } = record
  const { security } = spec
  const capabilities = security ? resolveCapabilities(security, services.capabilities) : defaultCapabilities
  return buildRuntimeSpec({
    rootPath: services.paths.containerRoot,
    readOnlyRoot: spec.readOnlyRoot,
    hostname: spec.hostname,
    argv: spec.argv,
    env: spec.env,
    workdir: spec.workdir,
    user,
    rlimits: resolveRlimits(spec.ulimits, services.hostLimits),
    oomScoreAdj: spec.oomScoreAdj ?? containerOomScore(services.hostLimits),
    capabilities,
    noNewPrivileges: security?.noNewPrivileges,
    privileged: security?.privileged ?? false,
    devices: security?.privileged ? hostDevices() : resolveDevices(spec.devices ?? []),
    deviceRules: (spec.deviceRules ?? []).map(parseDeviceRule),
    mask: security?.mask,
    unmask: security?.unmask,
    sysctls: { ...(spec.domainname !== undefined && { 'kernel.domainname': spec.domainname }), ...spec.sysctls },
    userMounts: spec.mounts,
    files: networking.files(directory),
    shmBytes: spec.shmBytes,
    network: networking.namespace === 'host' ? { kind: 'host' } : { kind: 'path', path: networking.namespace },
    resources: resolveResources(spec.resources, services.resourceSupport),
    cgroupsPath: services.cgroupPath(record.id, record.lifetime),
    cgroupMode: services.cgroupMode,
    seccomp: security?.seccomp === 'unconfined' ? {} : await services.seccomp(capabilities),
  })
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown }

/** Awaits all; when one fails, hands what the others made to `undo` and throws the first failure. */
async function allOrUndo<A, B, C>(
  work: readonly [Promise<A>, Promise<B>, Promise<C>, Promise<unknown>],
  undo: (a: A | null, b: B | null, c: C | null) => Promise<void>,
): Promise<[A, B, C]> {
  const settle = <T>(promise: Promise<T>): Promise<Outcome<T>> =>
    promise.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    )
  const [a, b, c, d] = await Promise.all([settle(work[0]), settle(work[1]), settle(work[2]), settle(work[3])])
  if ('value' in a && 'value' in b && 'value' in c && 'value' in d) return [a.value, b.value, c.value]
  await undo('value' in a ? a.value : null, 'value' in b ? b.value : null, 'value' in c ? c.value : null)
  for (const outcome of [a, b, c, d]) if ('error' in outcome) throw outcome.error
  throw new Error('unreachable')
}
