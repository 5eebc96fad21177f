import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Engine } from '../../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'
import { ociLayoutFiles, tarOf } from './image-fixture.ts'
import { moments, momentsTimeout, randomNumbers } from './random-moments.ts'

let place: BusyboxRoot
let archive: string
let rootfs: string
const children: ChildProcess[] = []

beforeAll(async () => {
  place = await busyboxRoot()
  archive = join(place.directory, 'session.tar')
  rootfs = join(place.directory, 'rootfs.tar')
  const layers = [await tarOf([{ name: 'base', body: 'base' }]), await tarOf([{ name: 'own', body: 'own' }])]
  await writeFile(archive, await tarOf(ociLayoutFiles([{ layers, tags: ['session-load:1'] }], 'gzip', true).files))
  await writeFile(rootfs, layers[0]!)
})
afterEach(async () => {
  for (const child of children.splice(0)) if (child.exitCode === null && child.signalCode === null) await kill(child)
})
afterAll(async () => {
  await place[Symbol.asyncDispose]()
})

function start(what: 'once' | 'on') {
  const file = join(import.meta.dirname, 'session-images-child.ts')
  const child = spawn(process.execPath, ['--conditions=tscontainer-source', file, place.root, archive, rootfs, what], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return { child, next: async () => String((await lines.next()).value) }
}

/** A process that has made images, and their ids. */
async function session() {
  const { child, next } = start('once')
  expect(await next()).toBe('ready')
  const ids = JSON.parse(await next()) as string[]
  expect(new Set(ids).size).toBe(4)
  return { child, ids }
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

const idsOf = async (engine: Engine) => (await Array.fromAsync(engine.images.list())).map(({ id }) => id).sort()
const blobs = () => readdirSync(join(place.root, 'content/blobs/sha256')).sort()
const trees = () => readdirSync(join(place.root, 'storage/overlay2/snapshots')).sort()
const onDisk = () => ({ blobs: blobs(), trees: trees() })

/** Only the image that was there before, whole. */
async function expectAsBefore(engine: Engine, before: ReturnType<typeof onDisk>): Promise<void> {
  const [image, ...others] = await Array.fromAsync(engine.images.list())
  expect(others).toEqual([])
  expect(await image!.inspect()).toMatchObject({ names: [imageName], lifetime: 'kept' })
  expect(onDisk()).toEqual(before)
  expect((await engine.check({ contents: true })).problems).toEqual([])
  await using container = await engine.containers.run({ image: imageName, networks: 'none', command: ['true'] })
  expect(await container.wait()).toMatchObject({ exitCode: 0 })
}

test('after SIGKILL the next open removes what was made, and nothing else', async () => {
  const before = onDisk()
  const { child, ids } = await session()
  {
    await using beside = await place.open()
    const facts = await (await beside.images.get('session-load:1')).inspect()
    expect(facts).toMatchObject({ id: ids[0], lifetime: 'process' })
    // It lives, and so do they.
    await beside.gc()
    expect((await idsOf(beside)).length).toBe(5)
    await kill(child)
    expect((await idsOf(beside)).length).toBe(5)
  }
  await using engine = await place.open()
  await expectAsBefore(engine, before)
})

test('a collection does it, too, and a container of another process keeps its image until it is gone', async () => {
  const before = onDisk()
  await using engine = await place.open()
  const { child, ids } = await session()
  const container = await engine.containers.create({ image: 'session-load:1', networks: 'none', command: ['x'] })
  await kill(child)
  await engine.gc()
  expect((await idsOf(engine)).filter((id) => ids.includes(id))).toEqual([ids[0]])
  expect((await engine.check({ contents: true })).problems).toEqual([])
  await container.remove()
  await engine.gc()
  await expectAsBefore(engine, before)
})

test('the image goes with its last container, without a collection', async () => {
  await using engine = await place.open()
  let id: string
  const container = await (async () => {
    await using other = await place.open()
    const [image] = await other.images.load(archive, { lifetime: 'process' })
    id = image!.id
    return await engine.containers.create({ image: id, networks: 'none', command: ['x'] })
  })()
  expect(await idsOf(engine)).toContain(id!)
  await container.remove()
  expect(await idsOf(engine)).not.toContain(id!)
})

test('disposal removes them; one that somebody keeps stays', async () => {
  const before = onDisk()
  await using engine = await place.open()
  {
    await using other = await place.open()
    await other.images.importRootfs(rootfs, { lifetime: 'process' })
    const [image] = await other.images.load(archive, { lifetime: 'process' })
    // To run it is no reason to keep it.
    await using container = await other.containers.create({ image: 'session-load:1', networks: 'none', command: ['x'] })
    expect(await image!.inspect()).toMatchObject({ lifetime: 'process', containers: 1 })
    expect(container.id).toBeTruthy()
  }
  await expectAsBefore(engine, before)
  {
    await using other = await place.open()
    await other.images.load(archive, { lifetime: 'process' })
    await engine.images.load(archive)
  }
  const image = await engine.images.get('session-load:1')
  expect(await image.inspect()).toMatchObject({ lifetime: 'kept' })
  {
    await using other = await place.open()
    await other.images.load(archive, { lifetime: 'process' })
  }
  expect(await image.inspect()).toMatchObject({ lifetime: 'kept' })
  await image.remove()
  await expectAsBefore(engine, before)
})

test('a wrong lifetime is refused by name', async () => {
  await using engine = await place.open()
  const wrong = { lifetime: 'detached' as 'process' }
  const image = await engine.images.get(imageName)
  await using container = await engine.containers.create({ image, networks: 'none', command: ['x'] })
  for (const call of [
    engine.images.load(archive, wrong),
    engine.images.importRootfs(rootfs, wrong),
    engine.images.pull('localhost:1/x', wrong),
    container.commit(wrong),
    image.squash(wrong),
  ])
    await expect(Promise.resolve(call)).rejects.toMatchObject({ code: 'call.bad_option', details: { key: 'lifetime' } })
})

test('SIGKILL at any moment while they are made: nothing is left', { timeout: momentsTimeout }, async () => {
  const before = onDisk()
  for (let seed = 1; seed <= Math.ceil(moments / 20); seed++) {
    const { child, next } = start('on')
    expect(await next()).toBe('ready')
    await sleep(randomNumbers(seed)(2500))
    await kill(child)
    await using engine = await place.open()
    const left = (await idsOf(engine)).length
    expect({ seed, left }).toEqual({ seed, left: 1 })
    await engine.gc()
    await expectAsBefore(engine, before)
  }
})
