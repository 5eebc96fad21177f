import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Container, Engine } from '../../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'
import { ociLayoutFiles, tarOf } from './image-fixture.ts'

// What becomes of calls whose engine is disposed while they are under way.

let place: BusyboxRoot
let archive: string
beforeAll(async () => {
  place = await busyboxRoot()
  archive = join(place.directory, 'files.tar')
  const files = Array.from({ length: 2000 }, (_, n) => ({ name: `file-${n}`, body: 'x'.repeat(n) }))
  const layers = [await tarOf(files)]
  writeFileSync(archive, await tarOf(ociLayoutFiles([{ layers, tags: ['files:1'] }], 'gzip', true).files))
})
afterAll(() => place[Symbol.asyncDispose]())

const stalled = () => new Readable({ read() {} })
const nobody = () => new Writable({ write() {} })
const forEver = { image: imageName, networks: 'none', command: ['sleep', '1000'], stopTimeout: 0 } as const

async function expectClean(): Promise<void> {
  await using engine = await place.open()
  expect((await engine.check()).problems).toEqual([])
  expect(await Array.fromAsync(engine.containers.list())).toEqual([])
}

describe('rejects with call.disposed, and nothing is left of', () => {
  const kinds: readonly [string, (engine: Engine, container: Container) => Promise<unknown>][] = [
    ['a load', (engine) => engine.images.load(archive)],
    ['a load from a stream that stalls', (engine) => engine.images.load(stalled())],
    ['an import from a stream that stalls', (engine) => engine.images.importRootfs(stalled())],
    ['a save that nobody reads', (engine) => engine.images.save([imageName], nobody())],
    ['an export that nobody reads', (_engine, container) => container.exportRootfs(nobody())],
    ['a stop that takes its time', (_engine, container) => container.stop({ stopSignal: 'SIGCHLD', graceMs: 60_000 })],
  ]

  test.each(kinds)('%s', async (_what, start) => {
    const engine = await place.open()
    const container = await engine.containers.run(forEver)
    const running = Promise.allSettled([start(engine, container)])
    await sleep(30)
    const begun = performance.now()
    await engine[Symbol.asyncDispose]()
    expect(performance.now() - begun).toBeLessThan(5000)
    const [end] = await running
    expect(end).toMatchObject({ status: 'rejected', reason: { code: 'call.disposed' } })
    await expectClean()
  })

  test('a run, at whatever moment', async () => {
    for (let afterMs = 0; afterMs < 60; afterMs += 4) {
      const engine = await place.open()
      const running = Promise.allSettled([engine.containers.run(forEver)])
      await sleep(afterMs)
      await engine[Symbol.asyncDispose]()
      const [end] = await running
      if (end!.status === 'rejected') expect(end.reason).toMatchObject({ code: 'call.disposed' })
    }
    await expectClean()
  })
})

test('what waits for a container that ends with the engine hears how it ended', async () => {
  const engine = await place.open()
  const container = await engine.containers.run({ ...forEver, command: ['sh', '-c', 'echo ready; exec sleep 1000'] })
  const waiting = container.wait()
  const executing = container.exec(['sleep', '1000'])
  const followed = Array.fromAsync(container.logs({ follow: true }))
  await sleep(100)
  await engine[Symbol.asyncDispose]()
  expect(await waiting).toMatchObject({ exitCode: 137, signal: 'SIGKILL' })
  expect(await executing).toMatchObject({ exitCode: 137 })
  expect((await followed).map(({ text }) => text)).toEqual(['ready'])
  await expectClean()
})

test('what waits for a detached container leaves it to itself', async () => {
  const engine = await place.open()
  const container = await engine.containers.run({ ...forEver, lifetime: 'detached' })
  const waiting = Promise.allSettled([container.wait(), container.exec(['sleep', '1000'])])
  const following = Array.fromAsync(container.logs({ follow: true }))
  const watching = Array.fromAsync(engine.events({ follow: true }))
  const followed = Promise.allSettled([following, watching])
  await sleep(100)
  await engine[Symbol.asyncDispose]()
  for (const end of await waiting) expect(end).toMatchObject({ status: 'rejected', reason: { code: 'call.disposed' } })
  // As when their own signal fires.
  await followed
  await using next = await place.open()
  const found = await next.containers.get(container.id)
  expect((await found.inspect()).status).toBe('running')
  await found.remove({ force: true })
})

test('twice is no error, and use after it is refused', async () => {
  const engine = await place.open()
  await Promise.all([engine[Symbol.asyncDispose](), engine[Symbol.asyncDispose]()])
  await engine[Symbol.asyncDispose]()
  await expect(engine.images.load(archive)).rejects.toMatchObject({ code: 'call.disposed' })
  await expect(engine.containers.run(forEver)).rejects.toMatchObject({ code: 'call.disposed' })
  await expect(engine.gc()).rejects.toMatchObject({ code: 'call.disposed' })
})
