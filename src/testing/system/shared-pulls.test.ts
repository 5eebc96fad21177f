import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Engine } from '../../index.ts'
import { FaultyProxy } from '../../registry/faulty-proxy-fixture.ts'
import { type RegistryServer, startRegistry } from '../../registry/registry-fixture.ts'
import { tarOf } from './image-fixture.ts'
import { busyboxLayer, type PublishedImage, publishImage, storedBytes } from './published-image.ts'
import { type TransferLine, TransferProcess } from './transfer-process.ts'

let server: RegistryServer
let image: PublishedImage
let proxy: FaultyProxy
let directory: string
let root: string

beforeAll(async () => {
  server = await startRegistry()
  const layers = [await busyboxLayer()]
  for (const name of ['a', 'b', 'c', 'd']) layers.push(await tarOf([{ name: `data/${name}`, body: randomBytes(3e6) }]))
  image = await publishImage(server.host, 'app:v1', layers)
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(async () => {
  proxy = await FaultyProxy.start(server.host)
  directory = mkdtempSync(join(tmpdir(), 'tsc-shared-'))
  root = join(directory, 'root')
})
afterEach(async () => {
  await proxy[Symbol.asyncDispose]()
  {
    await using engine = await open()
    expect((await engine.check()).problems).toEqual([])
    await engine.reset()
  }
  rmSync(directory, { recursive: true })
})

const pull = () => new TransferProcess(['pull', root, `${proxy.host}/app:v1`])
const open = () => Engine.open({ root, registries: { dockerConfig: null }, diagnostics: () => {} })
async function runs(): Promise<void> {
  await using engine = await open()
  expect((await engine.check({ contents: true })).problems).toEqual([])
  await using container = await engine.containers.create({
    image: `${proxy.host}/app:v1`,
    command: ['sh', '-c', 'cat /data/a /data/d | sha256sum'],
    networks: 'none',
  })
  await container.start()
  expect((await container.wait()).exitCode).toBe(0)
}

describe('several processes that pull one image', () => {
  test('fetch each blob once and unpack each layer once', async () => {
    // Slow enough for all of them to come while the first one fetches.
    proxy.pauseMs = 4
    const pullers = [pull(), pull(), pull()]
    await Promise.all(pullers.map((puller) => puller.ended))
    for (const puller of pullers) expect(puller.id).toBe(image.config)
    expect(proxy.sent).toBe(image.blobBytes)
    const done = pullers.flatMap((puller) => puller.done)
    for (const { digest, diffId } of image.layers) {
      expect(done.filter((item) => item === digest)).toHaveLength(1)
      expect(done.filter((item) => item === diffId)).toHaveLength(1)
    }
    // Who waits is told how far the other one is.
    for (const puller of pullers) expect(puller.lines.filter(({ type }) => type === 'bytes').length).toBeGreaterThan(1)
    await runs()
  })

  test('several calls in one process too', async () => {
    await using engine = await open()
    const pulled = await Promise.all([1, 2, 3].map(() => engine.images.pull(`${proxy.host}/app:v1`)))
    expect(new Set(pulled.map(({ id }) => id))).toEqual(new Set([image.config]))
    expect(proxy.sent).toBe(image.blobBytes)
  })

  test('when the one that fetches is killed, another goes on where it was', async () => {
    proxy.pauseMs = 4
    const first = pull()
    const large = image.layers.at(-1)!
    const midway = (line: TransferLine) => line.type === 'bytes' && line.item === large.digest && line.done > 1e6
    await first.until((line) => line.type === 'bytes' && line.done > 0)
    const second = pull()
    await second.until(({ type }) => type === 'ready')
    await first.until(midway)
    await first.kill()
    expect(first.id).toBeNull()
    await second.ended
    expect(second.id).toBe(image.config)
    // What was on its way to the one that was killed is lost: the buffers of its connections.
    expect(proxy.sent).toBeGreaterThanOrEqual(image.blobBytes)
    expect(proxy.sent).toBeLessThan(image.blobBytes * 1.5)
    await runs()
  })

  test('one after the other is killed, and the last one brings it', async () => {
    proxy.pauseMs = 8
    for (let death = 1; death <= 4; death++) {
      const puller = pull()
      await puller.until((line) => line.type === 'bytes' && line.done > death * 700_000)
      await puller.kill()
    }
    await proxy.idle()
    const missing = image.blobBytes - storedBytes(root, image)
    expect(missing).toBeLessThan(image.blobBytes / 2)
    proxy.sent = 0
    const last = pull()
    await last.ended
    expect(last.id).toBe(image.config)
    expect(proxy.sent).toBe(missing)
    await runs()
  })
})
