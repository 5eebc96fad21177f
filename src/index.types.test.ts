import { expectTypeOf, test } from 'vitest'
import { bridgeNetwork } from '../drivers/network/bridge/index.ts'
import { ociCliRuntime } from '../drivers/runtime/oci-cli/index.ts'
import { overlay2Storage } from '../drivers/storage/overlay2/index.ts'
import {
  type AnyDriverDefinition,
  type CallOptions,
  type ConsistencyReport,
  type Container,
  type ContainerId,
  type ContainerSpec,
  type Digest,
  type DriverDefinition,
  type Engine,
  type EngineEvent,
  type EngineOptions,
  type ErrorKind,
  type ExecResult,
  type ExitStatus,
  type Image,
  isEngineError,
  type LogEntry,
  type Network,
  type Operation,
  type ProgressEvent,
} from './index.ts'

// The type checker is what runs these: `@ts-expect-error` fails where the mistake below it is accepted.

declare const engine: Engine
declare const container: Container
declare const image: Image
declare const controller: AbortController

/** Takes a value of a type. */
const accepts = <T>(_value: T) => {}
/** Takes code that is checked and never run. */
const checks = (_code: (value: unknown) => unknown) => {}

test('Engine.open takes what it documents and no unknown key', () => {
  accepts<EngineOptions>({})
  accepts<EngineOptions>({ root: '/r', runtime: 'crun', dns: ['1.1.1.1'], drivers: [] })
  accepts<EngineOptions>({ storage: { driver: 'overlay2', options: { size: '10g' } } })
  accepts<EngineOptions>({ addressPools: [{ base: '10.0.0.0/8', size: 24 }] })
  accepts<EngineOptions>({ diagnostics: ({ level, message }) => void `${level} ${message}` })
  // @ts-expect-error no such option
  accepts<EngineOptions>({ dataRoot: '/r' })
  // @ts-expect-error a log choice names its driver
  accepts<EngineOptions>({ log: { options: {} } })
  // @ts-expect-error log options are text
  accepts<EngineOptions>({ log: { driver: 'json-file', options: { 'max-file': 3 } } })
  // @ts-expect-error definitions, not names
  accepts<EngineOptions>({ drivers: ['overlay2'] })
  expectTypeOf<[EngineOptions, CallOptions]>().toExtend<Parameters<typeof Engine.open>>()
  expectTypeOf<typeof Engine.open>().returns.resolves.toEqualTypeOf<Engine>()
  expectTypeOf<Engine>().toExtend<AsyncDisposable>()
})

test('container specs: units, unions, no unknown key', () => {
  const base = { image: 'busybox' } as const
  accepts<ContainerSpec>(base)
  accepts<ContainerSpec>({ image, command: ['a'], entrypoint: null, env: { A: '1', GONE: undefined } })
  accepts<ContainerSpec>({ ...base, resources: { memory: '64m', cpus: 1.5, pids: -1 }, shmSize: 1 << 20 })
  accepts<ContainerSpec>({ ...base, stopTimeout: '1m30s', stopSignal: 'SIGINT', ulimits: { nofile: 64 } })
  accepts<ContainerSpec>({ ...base, stopTimeout: 500, ulimits: { core: { soft: 0, hard: -1 } } })
  accepts<ContainerSpec>({ ...base, mounts: ['/a:/b:ro', { type: 'bind', source: '/a', target: '/b' }] })
  accepts<ContainerSpec>({ ...base, mounts: [{ type: 'tmpfs', target: '/t', size: '1g', mode: 0o700 }] })
  accepts<ContainerSpec>({ ...base, networks: 'none', onLog: (entry) => void entry.text })
  // @ts-expect-error an image is needed
  accepts<ContainerSpec>({ command: ['a'] })
  // @ts-expect-error a command line is a list
  accepts<ContainerSpec>({ image: 'busybox', command: 'echo hi' })
  // @ts-expect-error no such key
  accepts<ContainerSpec>({ image: 'busybox', privileged: true })
  // @ts-expect-error no such resource
  accepts<ContainerSpec>({ image: 'busybox', resources: { ram: '64m' } })
  // @ts-expect-error a tmpfs has no source
  accepts<ContainerSpec>({ image: 'busybox', mounts: [{ type: 'tmpfs', target: '/t', source: '/s' }] })
  // @ts-expect-error a bind mount has one
  accepts<ContainerSpec>({ image: 'busybox', mounts: [{ type: 'bind', target: '/t' }] })
  // @ts-expect-error no such limit
  accepts<ContainerSpec>({ image: 'busybox', ulimits: { files: 3 } })
  // @ts-expect-error no such lifetime
  accepts<ContainerSpec>({ image: 'busybox', lifetime: 'forever' })
  // @ts-expect-error no such word
  accepts<ContainerSpec>({ image: 'busybox', networks: 'bridge' })
  // @ts-expect-error specs are not changed
  checks((spec) => ((spec as ContainerSpec).name = 'other'))
})

test('operations are awaited, iterated and aborted', () => {
  checks(async () => {
    const loading = engine.images.load('image.tar', { signal: controller.signal })
    expectTypeOf(loading).toEqualTypeOf<Operation<readonly Image[]>>()
    for await (const event of loading) {
      expectTypeOf(event).toEqualTypeOf<ProgressEvent>()
      if (event.type === 'bytes') expectTypeOf(event.total).toEqualTypeOf<number | null>()
      // @ts-expect-error only bytes have a number
      if (event.type === 'item-done') event.done
    }
    loading.abort(new Error('enough'))
    expectTypeOf(await loading).toEqualTypeOf<readonly Image[]>()
    expectTypeOf(await engine.containers.run({ image })).toEqualTypeOf<Container>()
    expectTypeOf(engine.images.save([image, 'name'], 'out.tar', { format: 'oci-archive' })).toEqualTypeOf<
      Operation<void>
    >()
    // @ts-expect-error no such format
    engine.images.save([image], 'out.tar', { format: 'zip' })
    expectTypeOf(container.exportRootfs('root.tar')).toEqualTypeOf<Operation<void>>()
  })
})

test('events and log entries come in a loop', () => {
  checks(async () => {
    for await (const event of engine.events({ types: ['container'], since: 3n, follow: false })) {
      expectTypeOf(event).toEqualTypeOf<EngineEvent>()
      expectTypeOf(event.sequence).toEqualTypeOf<bigint>()
    }
    // @ts-expect-error no such type
    engine.events({ types: ['pod'] })
    for await (const entry of container.logs({ follow: true })) {
      expectTypeOf(entry).toEqualTypeOf<LogEntry>()
      expectTypeOf(entry.stream).toEqualTypeOf<'stdout' | 'stderr'>()
      expectTypeOf(entry.time).toEqualTypeOf<bigint>()
      expectTypeOf(entry.bytes).toExtend<Uint8Array>()
    }
  })
})

test('errors narrow by kind and code', () => {
  checks((error) => {
    if (isEngineError(error)) expectTypeOf(error.kind).toEqualTypeOf<ErrorKind>()
    if (isEngineError(error, { kind: 'not_found' })) expectTypeOf(error.kind).toEqualTypeOf<'not_found'>()
    if (isEngineError(error, { code: 'state.corrupt' })) {
      expectTypeOf(error.code).toEqualTypeOf<'state.corrupt'>()
      expectTypeOf(error.details).toEqualTypeOf<Readonly<Record<string, unknown>>>()
      expectTypeOf(error.subject).toExtend<{ readonly type: string; readonly id: string } | null>()
    }
    // @ts-expect-error the list of kinds is closed
    isEngineError(error, { kind: 'missing' })
  })
})

test('definitions of drivers fit in a list and know their options', () => {
  accepts<readonly AnyDriverDefinition[]>([overlay2Storage, bridgeNetwork, ociCliRuntime])
  accepts<EngineOptions>({ drivers: [overlay2Storage] })
  expectTypeOf<typeof overlay2Storage.type>().toEqualTypeOf<'storage'>()
  expectTypeOf<ReturnType<typeof ociCliRuntime.parseOptions>>().not.toBeAny()
  expectTypeOf<Parameters<typeof ociCliRuntime.parseOptions>>().toEqualTypeOf<[input: unknown]>()
  // @ts-expect-error a storage definition opens no network driver
  accepts<DriverDefinition<'network', never>>(overlay2Storage)
})

test('handles: ids are branded, owners can be disposed of, get throws and find does not', () => {
  expectTypeOf(container.id).toEqualTypeOf<ContainerId>()
  expectTypeOf<string>().not.toExtend<ContainerId>()
  expectTypeOf<string>().not.toExtend<Digest>()
  expectTypeOf<Container>().toExtend<AsyncDisposable>()
  expectTypeOf<Image>().not.toExtend<AsyncDisposable>()
  expectTypeOf<Network>().not.toExtend<AsyncDisposable>()
  expectTypeOf(engine.containers.get).returns.resolves.toEqualTypeOf<Container>()
  expectTypeOf(engine.containers.find).returns.resolves.toEqualTypeOf<Container | null>()
  expectTypeOf(engine.images.find).returns.resolves.toEqualTypeOf<Image | null>()
  expectTypeOf(engine.networks.find).returns.resolves.toEqualTypeOf<Network | null>()
  expectTypeOf(engine.containers.list()).toEqualTypeOf<AsyncIterable<Container>>()
  expectTypeOf(container.wait).returns.resolves.toEqualTypeOf<ExitStatus>()
  expectTypeOf(container.exec).returns.resolves.toEqualTypeOf<ExecResult>()
  expectTypeOf(container.keep()).toEqualTypeOf<Container>()
  // @ts-expect-error options are an object
  checks(() => container.remove(true))
  // @ts-expect-error no such condition
  checks(() => container.wait({ until: 'done' }))
  // @ts-expect-error handles are made by the engine
  checks(() => new Image({}))
})

test('check and repair report problems', () => {
  expectTypeOf(engine.check).returns.resolves.toEqualTypeOf<ConsistencyReport>()
  expectTypeOf<typeof Engine.repair>().returns.resolves.toEqualTypeOf<ConsistencyReport>()
  checks(() => engine.check({ repair: true, contents: true }))
  // @ts-expect-error no such option
  checks(() => engine.check({ fix: true }))
})
