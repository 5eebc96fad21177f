import { mkdirSync } from 'node:fs'
import { cpus } from 'node:os'
import { builtinDrivers } from '../builtins.ts'
import { ContainerCopies } from '../container/container-copies.ts'
import { ContainerCore } from '../container/container-core.ts'
import { ContainerRecords } from '../container/container-records.ts'
import { ContentStore } from '../content/content-store.ts'
import type { DriverType } from '../driver-kit/definition.ts'
import { ensureParent } from '../host/cgroup/parent.ts'
import { engineMarker } from '../host/guard.ts'
import { createHost } from '../host/host.ts'
import { ImageLock } from '../image/image-lock.ts'
import { ImageStore } from '../image/image-store.ts'
import { PackThreads } from '../layer/pack-threads.ts'
import type { Scope } from '../lifetime/scope.ts'
import { openStorage } from '../snapshot/open-storage.ts'
import { EventJournal } from '../state/event-journal.ts'
import { openState } from '../state/open-state.ts'
import { type OwnerRole, Owners } from '../state/owners.ts'
import { ChainUnpacker } from '../transfer/chain-unpacker.ts'
import { chooseRuntime } from './choose-runtime.ts'
import { openContainerServices } from './container-services.ts'
import { coreTokens } from './core-tokens.ts'
import { createDiagnostics } from './diagnostics.ts'
import { driverContext } from './driver-context.ts'
import { DriverRegistry } from './driver-registry.ts'
import { defaultRoot, type ParsedEngineOptions } from './engine-options.ts'
import { monitorCommand } from './monitor-command.ts'
import { MonitorControl } from './monitor-control.ts'
import { openNetworks } from './open-networks.ts'
import { OpenedDrivers } from './opened-drivers.ts'
import { definePart, type PartFactory, type Parts } from './parts.ts'
import { spawnMonitor } from './spawn-monitor.ts'
import { scratchOf, sweepScratch } from './sweep-scratch.ts'

/** How each part of an engine is made. What must be released goes into `scope`, in the order it was made. */
export function coreParts(
  options: ParsedEngineOptions,
  role: OwnerRole,
  scope: Scope,
): readonly PartFactory<unknown>[] {
  const t = coreTokens
  const context = (parts: Parts, type: DriverType) => (name: string) =>
    driverContext(parts.get(t.state).paths, type, name, {
      host: parts.get(t.host),
      diagnostics: parts.get(t.diagnostics),
      launchEnv: { [engineMarker]: parts.get(t.owner).id },
    })
  return [
    definePart(t.diagnostics, () => createDiagnostics(options.diagnostics)),
    definePart(t.drivers, () => new DriverRegistry([...builtinDrivers, ...(options.drivers ?? [])])),
    definePart(t.state, () => scope.own(openState(options.root ?? defaultRoot))),
    definePart(t.owners, (parts) => new Owners(parts.get(t.state).db, parts.get(t.state).paths)),
    definePart(t.owner, (parts) => scope.own(parts.get(t.owners).register(role))),
    definePart(t.host, (parts) => scope.own(createHost({ diagnostics: parts.get(t.diagnostics) }))),
    definePart(t.journal, (parts) => new EventJournal(parts.get(t.state).db, parts.get(t.state).paths)),
    definePart(t.content, (parts) => {
      const { db, paths } = parts.get(t.state)
      return new ContentStore({ db, paths, owner: parts.get(t.owner).id })
    }),
    definePart(t.images, (parts) => {
      const { db, paths } = parts.get(t.state)
      const records = new ContainerRecords(db, parts.get(t.journal), new ContainerCopies(paths))
      const [content, journal] = [parts.get(t.content), parts.get(t.journal)]
      const shortNames = options.registries?.shortNames
      const owner = parts.get(t.owner).id
      return new ImageStore({ db, content, journal, owner, usersOf: (id) => records.usersOf(id), shortNames })
    }),
    definePart(t.storage, async (parts) => {
      const { db, paths } = parts.get(t.state)
      return scope.own(
        await openStorage({
          host: parts.get(t.host),
          paths,
          db,
          definitions: parts.get(t.drivers).all('storage'),
          choice: options.storage,
          diagnostics: parts.get(t.diagnostics),
          owner: parts.get(t.owner).id,
        }),
      )
    }),
    definePart(t.runtime, async (parts) =>
      scope.own(await chooseRuntime(parts.get(t.drivers), options.runtime, context(parts, 'runtime'))),
    ),
    definePart(t.logs, (parts) => scope.own(new OpenedDrivers('log', parts.get(t.drivers), context(parts, 'log')))),
    definePart(t.networks, (parts) => {
      const drivers = scope.own(new OpenedDrivers('network', parts.get(t.drivers), context(parts, 'network')))
      return openNetworks(parts, options, drivers)
    }),
    definePart(t.monitor, (parts) => {
      const { paths } = parts.get(t.state)
      return scope.own(new MonitorControl(paths, () => spawnMonitor(paths, monitorOf(options, paths.root))))
    }),
    definePart(t.registries, async (parts) => {
      // HTTP is a fifth of the engine's memory: it comes with the first pull.
      const { openRegistries } = await import('../registry/open-registries.ts')
      const { run } = parts.get(t.host)
      return scope.own(
        openRegistries({ config: options.registries ?? {}, offline: options.offline ?? false, run, env: process.env }),
      )
    }),
    definePart(t.logins, () => async () => {
      const [{ listLogins }, { defaultDockerConfig }] = await Promise.all([
        import('../registry/list-logins.ts'),
        import('../registry/docker-config.ts'),
      ])
      const { dockerConfig = defaultDockerConfig(process.env), ...config } = options.registries ?? {}
      return listLogins(config, dockerConfig, process.env)
    }),
    definePart(t.transfer, async (parts) => ({
      content: parts.get(t.content),
      images: parts.get(t.images),
      unpacker: new ChainUnpacker({
        storage: await parts.get(t.storage),
        paths: parts.get(t.state).paths,
        sizes: parts.get(t.images).sizes,
      }),
      journal: parts.get(t.journal),
      diagnostics: parts.get(t.diagnostics),
      imageLock: options.imageLock && new ImageLock(options.imageLock),
    })),
    definePart(t.trees, async (parts) => {
      const { paths } = parts.get(t.state)
      const owner = parts.get(t.owner).id
      const scratch = scratchOf(paths, owner)
      mkdirSync(scratch, { recursive: true, mode: 0o700 })
      scope.defer(() => sweepScratch(paths, owner))
      const threads = scope.own(new PackThreads())
      return { storage: await parts.get(t.storage), threads, scratch, owner }
    }),
    definePart(t.containerServices, (parts) =>
      openContainerServices(parts, {
        role,
        log: options.log,
        processors: cpus().length,
        cgroups: (id) => ensureParent(id),
        scope,
        monitorCommand: monitorOf(options, parts.get(t.state).paths.root),
      }),
    ),
    definePart(t.containers, async (parts) => new ContainerCore(await parts.get(t.containerServices))),
  ]
}

/** The monitor has the drivers of whoever starts it, as far as they can be found by their modules. */
function monitorOf({ runtime, drivers = [] }: ParsedEngineOptions, root: string): readonly string[] {
  const modules = new Set(drivers.flatMap(({ module }) => module ?? []))
  return monitorCommand({ root, runtime: runtime ?? null, driverModules: [...modules] })
}
