import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Engine, type EngineOptions, type ImageLockMode } from '../../index.ts'
import { FaultyRegistry } from '../registry/faulty-registry.ts'
import { repository, run } from './packed-package.ts'
import { busyboxLayer } from './published-image.ts'

let registry: FaultyRegistry
let directory: string
let file: string

beforeEach(async () => {
  registry = await FaultyRegistry.start()
  directory = mkdtempSync(join(tmpdir(), 'tsc-lock-'))
  file = join(directory, 'image-lock.json')
})
afterEach(async () => {
  {
    await using engine = await Engine.open({ root: join(directory, 'root') })
    await engine.reset()
  }
  await registry[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const open = (options: EngineOptions = {}) =>
  Engine.open({
    root: join(directory, 'root'),
    registries: { dockerConfig: null, attempts: 1 },
    diagnostics: () => {},
    ...options,
  })
const locked = (mode?: ImageLockMode, more: EngineOptions = {}) =>
  open({ imageLock: { file, ...(mode && { mode }) }, ...more })
const named = (name: string) => `${registry.host}/${name}`
const pinned = (): Record<string, { digest: string }> => JSON.parse(readFileSync(file, 'utf8')).images

describe('the image lock file', () => {
  test('pins what is pulled, in bytes that stay the same; the tag moves, the pin does not', async () => {
    registry.addImage('b:1', { config: { config: { Env: ['A=1'] } } })
    registry.addImage('a:1', { config: { config: { Env: ['B=1'] } } })
    await using engine = await locked()
    const first = await engine.images.pull(named('b:1'))
    await engine.images.pull(named('a:1'))
    const text = readFileSync(file, 'utf8')
    expect(Object.keys(pinned())).toEqual([named('a:1'), named('b:1')])
    expect(text).toBe(`${JSON.stringify({ version: 1, images: pinned() }, null, 2)}\n`)
    // Nothing else lies beside it.
    expect(readdirSync(directory).sort()).toEqual(['image-lock.json', 'root'])

    registry.addImage('b:1', { config: { config: { Env: ['A=2'] } } })
    registry.requests.length = 0
    expect((await engine.images.pull(named('b:1'))).id).toBe(first.id)
    // It is here under that digest: nobody is asked.
    expect(registry.requests).toEqual([])
    expect(readFileSync(file, 'utf8')).toBe(text)

    // Whoever has nothing yet gets the pinned one too, with the name.
    await (await engine.images.get(named('b:1'))).remove({ force: true })
    await engine.gc()
    const again = await engine.images.pull(named('b:1'))
    expect(again.id).toBe(first.id)
    expect((await again.inspect()).repoTags).toEqual([named('b:1')])

    await using updating = await locked('update')
    const newer = await updating.images.pull(named('b:1'), { policy: 'missing' })
    expect(newer.id).not.toBe(first.id)
    expect(pinned()[named('b:1')]?.digest).not.toBe(JSON.parse(text).images[named('b:1')].digest)
    expect(pinned()[named('a:1')]).toEqual(JSON.parse(text).images[named('a:1')])
  })

  test('frozen: other names are refused, by run too; pinned ones work offline and get their tag back', async () => {
    const layers = [await busyboxLayer()]
    registry.addImage('app:1', { layers, config: { config: { Env: ['PATH=/bin', 'VERSION=1'] } } })
    const first = await (async () => {
      await using engine = await locked()
      return (await engine.images.pull(named('app:1'))).id
    })()
    registry.addImage('app:1', { layers, config: { config: { Env: ['PATH=/bin', 'VERSION=2'] } } })
    {
      await using engine = await open()
      expect((await engine.images.pull(named('app:1'))).id).not.toBe(first)
    }
    const before = readFileSync(file, 'utf8')
    await using engine = await locked('frozen', { offline: true })
    const spec = { image: named('app:1'), command: ['sh', '-c', 'exit $VERSION'], networks: 'none' } as const
    {
      await using container = await engine.containers.run(spec)
      expect((await container.wait()).exitCode).toBe(1)
    }
    expect((await engine.images.get(named('app:1'))).id).toBe(first)
    for (const attempt of [
      () => engine.images.pull(named('other:1')),
      () => engine.containers.run({ ...spec, image: named('other:1') }),
      () => engine.containers.run({ ...spec, image: named('other:1') }, { pull: 'never' }),
    ])
      await expect(attempt()).rejects.toMatchObject({ code: 'image.not_locked', details: { file } })
    expect(readFileSync(file, 'utf8')).toBe(before)
    // By id there is nothing to look up.
    await using byId = await engine.containers.run({ ...spec, image: first })
    expect((await byId.wait()).exitCode).toBe(1)
  })

  test('several that pin at once lose no line', async () => {
    const names = Array.from({ length: 8 }, (_, at) => `app:${at}`)
    for (const name of names) registry.addImage(name, { config: { config: { Env: [`N=${name}`] } } })
    const engines = await Promise.all([locked(), locked()])
    await Promise.all(names.map((name, at) => engines[at % 2]!.images.pull(named(name))))
    for (const engine of engines) await engine[Symbol.asyncDispose]()
    expect(Object.keys(pinned())).toEqual(names.map(named))
  })

  test.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['another version', '{"version":2,"images":{}}'],
    ['an unknown key', '{"version":1,"images":{},"x":1}'],
    ['no digest', '{"version":1,"images":{"a":{}}}'],
    ['a digest that is none', '{"version":1,"images":{"a":{"digest":"sha256:1"}}}'],
    ['a name that is none', '{"version":1,"images":{"A:::":{"digest":"sha256:1"}}}'],
    [
      'a name twice',
      `{"version":1,"images":{${['a', 'a:latest'].map((n) => `"${n}":{"digest":"sha256:${'0'.repeat(64)}"}`)}}}`,
    ],
  ])('%s is refused and left as it is', async (_what, text) => {
    writeFileSync(file, text)
    registry.addImage('app:1')
    await using engine = await locked()
    await expect(engine.images.pull(named('app:1'))).rejects.toMatchObject({ code: 'image.bad_lock' })
    expect(readFileSync(file, 'utf8')).toBe(text)
  })

  test('wrong options, and a file that cannot be written', async () => {
    await expect(open({ imageLock: { file, mode: 'x' as 'use' } })).rejects.toMatchObject({ code: 'call.bad_option' })
    await expect(open({ imageLock: {} as { file: string } })).rejects.toMatchObject({ code: 'call.bad_option' })
    await expect(open({ signaturePolicy: 'x' as never })).rejects.toMatchObject({ code: 'image.no_signatures' })
    registry.addImage('app:1')
    await using engine = await open({ imageLock: { file: join(directory, 'none/lock.json') } })
    await expect(engine.images.pull(named('app:1'))).rejects.toMatchObject({ code: 'image.bad_lock' })
    await expect(engine.images.pull(named('app:1'), { signaturePolicy: 'x' as never })).rejects.toMatchObject({
      code: 'image.no_signatures',
      kind: 'unsupported',
    })
  })
})

test('offline: every use of the network is refused by name, the rest works', async () => {
  registry.addImage('app:1')
  const image = await (async () => {
    await using engine = await open()
    return (await engine.images.pull(named('app:1'))).id
  })()
  registry.requests.length = 0
  await using engine = await open({ offline: true })
  const here = await engine.images.get(named('app:1'))
  expect(here.id).toBe(image)
  expect((await engine.images.pull(named('app:1'), { policy: 'missing' })).id).toBe(image)
  const url = `http://${registry.host}/x.tar`
  const first = async (list: AsyncIterable<unknown>) => {
    for await (const _one of list) return
  }
  for (const [what, attempt] of Object.entries({
    pull: async () => engine.images.pull(named('app:1')),
    'pull of what is missing': async () => engine.images.pull(named('other'), { policy: 'missing' }),
    run: async () => engine.containers.run({ image: named('other'), networks: 'none' }),
    push: async () => here.push(named('app:2')),
    tags: () => first(engine.images.tags(named('app'))),
    search: () => first(engine.images.search('app')),
    load: async () => engine.images.load(url),
    importRootfs: async () => engine.images.importRootfs(url),
  }))
    await expect(attempt(), what).rejects.toMatchObject({ code: 'registry.offline' })
  expect(registry.requests).toEqual([])
  await engine.images.save([here], join(directory, 'app.tar'))
})

test('the command: pull, push, run, with the lock file', async () => {
  registry.addImage('app:1', { layers: [await busyboxLayer()], config: { config: { Env: ['PATH=/bin'] } } })
  const root = ['--root', join(directory, 'root')]
  const script = join(repository, 'src/cli.ts')
  const command = (...args: string[]) =>
    run(process.execPath, ['--conditions=tscontainer-source', script, ...args], directory)
  const lock = ['--lock-file', file]
  const pulled = await command('pull', ...root, ...lock, named('app:1'))
  expect(pulled).toMatchObject({ code: 0, stdout: expect.stringMatching(/^127\S+app:1 sha256:[0-9a-f]{64}\n$/) })
  expect(pulled.stderr).toContain(' done\n')
  const digest = pinned()[named('app:1')]!.digest
  expect((await command('push', '-q', ...root, named('app:1'), named('copy:2'))).stdout).toBe(
    `${named('copy:2')} ${digest}\n`,
  )
  const shell = [...lock, '--frozen', '--offline', '--network', 'none', named('app:1'), 'sh', '-c', 'exit 3']
  expect((await command('run', ...root, ...shell)).code).toBe(3)
  const refused = await command('pull', ...root, ...lock, '--frozen', named('other:1'))
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('[image.not_locked]') })
  expect((await command('pull', ...root, '--frozen', named('app:1'))).code).toBe(2)
})
