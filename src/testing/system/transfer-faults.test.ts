import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Engine } from '../../index.ts'
import { FaultyProxy } from '../../registry/faulty-proxy-fixture.ts'
import { type RegistryServer, startRegistry } from '../../registry/registry-fixture.ts'
import { tarOf } from './image-fixture.ts'
import { busyboxLayer, type PublishedImage, publishImage } from './published-image.ts'

let server: RegistryServer
let image: PublishedImage
let directory: string
let root: string

beforeAll(async () => {
  server = await startRegistry()
  const layers = [await busyboxLayer()]
  // The upper half of it takes a good deal of space unpacked and little on the way.
  for (const name of ['a', 'b'])
    layers.push(
      await tarOf([
        { name: `data/${name}`, body: randomBytes(3e6) },
        { name: `data/${name}-zeros`, body: Buffer.alloc(4e6, name) },
      ]),
    )
  image = await publishImage(server.host, 'app:v1', layers)
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsc-faults-'))
  root = join(directory, 'root')
})
afterEach(async () => {
  {
    await using engine = await open()
    expect((await engine.check()).problems).toEqual([])
    await engine.reset()
  }
  rmSync(directory, { recursive: true, force: true })
})

const open = () => Engine.open({ root, registries: { dockerConfig: null, attempts: 3 }, diagnostics: () => {} })

async function runs(engine: Engine, name: string): Promise<void> {
  expect((await engine.check({ contents: true })).problems).toEqual([])
  await works(engine, name)
}

async function works(engine: Engine, name: string): Promise<void> {
  await using container = await engine.containers.create({
    image: name,
    command: ['sh', '-c', 'cat /data/a /data/b-zeros >/dev/null'],
    networks: 'none',
  })
  await container.start()
  expect((await container.wait()).exitCode).toBe(0)
}

describe('layers that are unpacked while they come', () => {
  test('a connection that breaks in each of them, with ranges and without', async () => {
    await using proxy = await FaultyProxy.start(server.host)
    await using engine = await open()
    proxy.cutAfter = 1_000_000
    await engine.images.pull(`${proxy.host}/app:v1`)
    expect(proxy.cuts).toBeGreaterThan(2)
    await runs(engine, `${proxy.host}/app:v1`)
    await (await engine.images.get(`${proxy.host}/app:v1`)).remove()
    await engine.gc()

    // Every attempt begins anew: what was unpacked by then is worth nothing.
    proxy.ignoreRanges = true
    const pulling = engine.images.pull(`${proxy.host}/app:v1`)
    for await (const event of pulling) if (event.type === 'bytes' && proxy.cuts > 6) proxy.cutAfter = null
    await runs(engine, `${proxy.host}/app:v1`)
  })

  test('bytes that are not what the digest says are told as such; right ones afterwards are taken', async () => {
    await using proxy = await FaultyProxy.start(server.host)
    await using engine = await open()
    proxy.corrupt = true
    await expect(engine.images.pull(`${proxy.host}/app:v1`)).rejects.toMatchObject({ code: 'content.digest_mismatch' })
    expect(await engine.images.find(`${proxy.host}/app:v1`)).toBeNull()
    expect((await engine.check()).problems).toEqual([])

    // Wrong beginnings that an aborted pull has left.
    proxy.pauseMs = 10
    const stopped = engine.images.pull(`${proxy.host}/app:v1`)
    for await (const event of stopped) {
      if (event.type !== 'bytes' || event.done < 1e6) continue
      stopped.abort()
      break
    }
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' })
    proxy.corrupt = false
    proxy.pauseMs = 0
    await engine.images.pull(`${proxy.host}/app:v1`)
    await runs(engine, `${proxy.host}/app:v1`)
  })
})

describe('a full disk', () => {
  afterEach(() => execFileSync('umount', [directory]))

  test.each([
    ['while blobs come', 5, /^(content|state)\.full$/],
    ['while layers are unpacked', 16, /^(content\.full|layer\.disk_full|state\.full)$/],
  ])('%s: a typed error, nothing half made; goes on when there is space', async (_when, megabytes, code) => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'none', directory])
    mkdirSync(root)
    await using engine = await open()
    const name = `${server.host}/app:v1`
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(engine.images.pull(name)).rejects.toMatchObject({
        kind: 'resource_exhausted',
        code: expect.stringMatching(code),
      })
      expect(await engine.images.find(name)).toBeNull()
      expect((await engine.check()).problems).toEqual([])
    }
    await engine.gc()
    execFileSync('mount', ['-o', 'remount,size=64m', directory])
    expect((await engine.images.pull(name)).id).toBe(image.config)
    await runs(engine, name)
  })
})

test('collectors in other processes take nothing that pulls, pushes and loads need', async () => {
  await using engine = await open()
  await using target = await startRegistry()
  const script = join(import.meta.dirname, 'collect-child.ts')
  const collectors = [1, 2].map(() =>
    spawn(process.execPath, ['--conditions=tscontainer-source', script, root, 'engine'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  )
  const archive = join(directory, 'app.tar')
  try {
    await Promise.all(collectors.map((child) => once(child.stdout, 'data')))
    for (let round = 0; round < 2; round++) {
      const pulled = await engine.images.pull(`${server.host}/app:v1`)
      const pushing = pulled.push(`${target.host}/app-${round}:v1`)
      // Nothing but the push needs it from here on.
      for await (const _begun of pushing) break
      if (round % 2 === 1) await pulled.remove()
      await pushing
      if (round === 0) await engine.images.save([pulled], archive)
      if (round % 2 === 0) await pulled.remove()
      const [loaded] = await engine.images.load(archive)
      // What others are just removing may look strange for the moment, so that nothing is checked here.
      await works(engine, `${server.host}/app:v1`)
      await loaded!.remove()
      const back = await engine.images.pull(`${target.host}/app-${round}:v1`)
      expect(back.id).toBe(image.config)
      await back.remove()
    }
    for (const child of collectors) expect(child.exitCode).toBeNull()
  } finally {
    for (const child of collectors) {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
    // What they were just removing.
    await engine.gc()
  }
})
