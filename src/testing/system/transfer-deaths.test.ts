import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Engine } from '../../index.ts'
import { FaultyProxy } from '../../registry/faulty-proxy-fixture.ts'
import { type RegistryServer, startRegistry } from '../../registry/registry-fixture.ts'
import { tarOf } from './image-fixture.ts'
import { busyboxLayer, type PublishedImage, publishImage, storedBytes } from './published-image.ts'
import { momentsTimeout, randomNumbers } from './random-moments.ts'
import { TransferProcess } from './transfer-process.ts'

const full = process.env['TSCONTAINER_FULL'] === '1'
const deaths = Number(process.env['TSCONTAINER_MOMENTS'] ?? (full ? 400 : 40))

let server: RegistryServer
let proxy: FaultyProxy
let image: PublishedImage
let directory: string
let root: string

beforeAll(async () => {
  server = await startRegistry()
  proxy = await FaultyProxy.start(server.host)
  // Slow enough for its sender's buffers to stay empty, and for a death to come in the middle.
  proxy.pauseMs = 5
  directory = mkdtempSync(join(tmpdir(), 'tsc-deaths-'))
  root = join(directory, 'root')
  const layers = [await busyboxLayer()]
  for (const name of ['a', 'b', 'c']) layers.push(await tarOf([{ name: `data/${name}`, body: randomBytes(1.2e6) }]))
  image = await publishImage(server.host, 'app:v1', layers)
})
afterAll(async () => {
  {
    await using engine = await open()
    await engine.reset()
  }
  await proxy[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const name = () => `${proxy.host}/app:v1`
const open = () => Engine.open({ root, registries: { dockerConfig: null }, diagnostics: () => {} })

/** Brings what is missing and no byte more, looks whether it runs, and takes everything away again. */
async function finish(engine: Engine): Promise<void> {
  await proxy.idle()
  const before = proxy.sent
  const stored = storedBytes(root, image)
  const pulled = await engine.images.pull(name())
  expect(pulled.id).toBe(image.config)
  expect(proxy.sent - before).toBe(image.blobBytes - stored)
  expect((await engine.check({ contents: true })).problems).toEqual([])
  {
    await using container = await engine.containers.create({
      image: name(),
      command: ['sh', '-c', 'cat /data/a /data/b /data/c >/dev/null'],
      networks: 'none',
    })
    await container.start()
    expect((await container.wait()).exitCode).toBe(0)
  }
  await pulled.remove()
  await engine.gc()
  expect((await engine.check()).problems).toEqual([])
}

test(
  `SIGKILL of a pull at ${deaths} random moments: the root is consistent, and the next pull goes on`,
  async () => {
    const random = randomNumbers(19)
    // Kills in a row before a pull may finish.
    for (let death = 0; death < deaths; ) {
      const row = 1 + random(4)
      let finished = false
      for (let nth = 0; nth < row && !finished; nth++, death++) {
        const child = new TransferProcess(['pull', root, name()])
        await child.until(({ type }) => type === 'ready')
        await sleep(random(420))
        await child.kill()
        finished = child.id !== null
        await using engine = await open()
        expect((await engine.check()).problems, `death ${death}`).toEqual([])
        // The name is there with all that belongs to it, or not at all.
        const found = await engine.images.find(name())
        expect(found === null || found.id === image.config).toBe(true)
        if (finished) expect(found).not.toBeNull()
      }
      await using engine = await open()
      await finish(engine)
    }
  },
  momentsTimeout,
)

test(
  `abort of a pull at ${deaths} random moments`,
  async () => {
    const random = randomNumbers(7)
    await using engine = await open()
    for (let abort = 0; abort < deaths; ) {
      const row = 1 + random(6)
      for (let nth = 0; nth < row; nth++, abort++) {
        const signal = AbortSignal.timeout(random(350))
        const pulling = engine.images.pull(name(), { signal })
        await pulling.catch((error: unknown) => expect(error).toMatchObject({ name: 'AbortError' }))
        expect((await engine.check()).problems, `abort ${abort}`).toEqual([])
      }
      await finish(engine)
    }
  },
  momentsTimeout,
)

test(
  `SIGKILL and abort of pushes at ${deaths} random moments: no tag, or a whole image; the next push works`,
  async () => {
    await using target = await startRegistry()
    await using engine = await open()
    const pulled = await engine.images.pull(name())
    const tags = (path: string) => {
      try {
        return execFileSync('skopeo', ['inspect', '--tls-verify=false', `docker://${target.host}/${path}`], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        })
      } catch {
        return null
      }
    }
    const random = randomNumbers(3)
    for (let death = 0; death < deaths; death++) {
      const path = `app-${death}:v1`
      const to = `${target.host}/${path}`
      // Killing takes a process, so most are aborted.
      if (death % 4 === 0) {
        const child = new TransferProcess(['push', root, name(), to])
        await child.until(({ type }) => type === 'ready')
        await sleep(random(120))
        await child.kill()
        if (child.id !== null) expect(tags(path)).not.toBeNull()
      } else {
        const pushing = pulled.push(to, { signal: AbortSignal.timeout(random(60)) })
        await pushing.catch((error: unknown) => expect(error).toMatchObject({ name: 'AbortError' }))
      }
      const seen = tags(path)
      if (seen !== null) expect(JSON.parse(seen)).toMatchObject({ Digest: image.manifest })
      expect((await pulled.push(to)).digest).toBe(image.manifest)
      if (death % 8 === 0) expect(JSON.parse(tags(path)!)).toMatchObject({ Digest: image.manifest })
    }
    expect((await engine.check({ contents: true })).problems).toEqual([])
    await finish(engine)
  },
  momentsTimeout,
)
