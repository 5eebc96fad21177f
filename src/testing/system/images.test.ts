import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Engine, Image } from '../../index.ts'
import { startRegistry } from '../../registry/registry-fixture.ts'
import { Database } from '../../state/database.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'
import { type FixtureImage, ociLayoutFiles, tarOf } from './image-fixture.ts'
import { publishImage } from './published-image.ts'

let place: BusyboxRoot
let engine: Engine
beforeAll(async () => {
  place = await busyboxRoot()
  engine = await place.open()
})
afterEach(async () => {
  for await (const container of engine.containers.list()) await container.remove({ force: true })
  for await (const image of engine.images.list())
    if (!(await image.inspect()).names.includes(imageName)) await image.remove({ force: true })
})
afterAll(async () => {
  await engine[Symbol.asyncDispose]()
  await place[Symbol.asyncDispose]()
})

const layer = (name: string, bytes: number) => tarOf([{ name, body: Buffer.alloc(bytes, name) }])

async function load(...images: readonly FixtureImage[]): Promise<readonly Image[]> {
  const archive = await tarOf(ociLayoutFiles(images, 'gzip', true).files)
  return engine.images.load(
    (async function* () {
      yield archive
    })(),
  )
}
const trees = () => readdirSync(join(place.root, 'storage', 'overlay2', 'snapshots')).length
const blobs = () => readdirSync(join(place.root, 'content/blobs/sha256')).length
const idsOf = async (list: AsyncIterable<Image>) => (await Array.fromAsync(list)).map(({ id }) => id)

describe('sizes', () => {
  test('inspect, history and diskUsage count what files hold, and shared layers once', async () => {
    const base = await layer('base', 10_000)
    const [one, two] = await load(
      { layers: [base, await layer('one', 300)], tags: ['one:1', 'one:2'] },
      { layers: [base, await layer('two', 2000)], tags: ['two:1'] },
    )
    const facts = await one!.inspect()
    expect(facts).toMatchObject({
      repoTags: ['one:1', 'one:2'],
      repoDigests: [],
      parent: null,
      containers: 0,
      unpackedSize: 10_300,
      sharedSize: 10_000,
      uniqueSize: 300,
    })
    expect(facts.layers.map(({ unpackedSize }) => unpackedSize)).toEqual([10_000, 300])
    expect(facts.platform).toBe(`linux/${facts.architecture}`)
    expect((await one!.history()).map(({ size, layer, tags, image }) => ({ size, layer, tags, image }))).toEqual([
      { size: 10_000, layer: facts.layers[0]!.diffId, tags: [], image: null },
      { size: 300, layer: facts.layers[1]!.diffId, tags: ['one:1', 'one:2'], image: one!.id },
    ])
    await using container = await engine.containers.run({
      image: imageName,
      networks: 'none',
      command: ['sh', '-c', 'head -c 100000 /dev/zero > /file; sleep 100'],
    })
    for (let tries = 0; tries < 100; tries++)
      if ((await container.exec(['stat', '-c', '%s', '/file'])).stdout.trim() === '100000') break
    const usage = await engine.diskUsage({ blocks: true })
    const busybox = usage.images.items.find(({ names }) => names.includes(imageName))!
    expect(usage.images.total).toBe(3)
    expect(usage.images.active).toBe(1)
    expect(usage.images.unpackedSize).toBe(busybox.unpackedSize + 12_300)
    expect(usage.images.blocks).toBeGreaterThan(usage.images.unpackedSize)
    const own = usage.images.items.filter(({ containers }) => containers === 0)
    expect(own.map(({ uniqueSize }) => uniqueSize).sort((a, b) => a - b)).toEqual([300, 2000])
    expect(usage.images.reclaimable).toBeGreaterThan(12_300)
    expect(usage.images.reclaimable).toBeLessThan(12_300 + 10_000)
    expect(usage.containers).toMatchObject({ total: 1, active: 1, reclaimable: 0 })
    expect(usage.containers.size).toBeGreaterThanOrEqual(100_000)
    expect(usage.containers.items).toMatchObject([{ id: container.id, status: 'running', image: imageName }])
    // What is not recorded is read from the blobs.
    using db = new Database(join(place.root, 'state.db'))
    db.run('DELETE FROM layers')
    expect(await two!.inspect()).toMatchObject({ unpackedSize: 12_000, sharedSize: 10_000, uniqueSize: 2000 })
    await expect(engine.diskUsage({ deep: true } as never)).rejects.toMatchObject({ code: 'call.unknown_option' })
    await expect(engine.diskUsage({ blocks: 1 } as never)).rejects.toMatchObject({ code: 'call.bad_option' })
    await expect(engine.diskUsage({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
    expect((await engine.diskUsage()).images).toMatchObject({
      unpackedSize: busybox.unpackedSize + 12_300,
      blocks: null,
    })
  })
})

describe('lists', () => {
  test('filters', async () => {
    const [old, young, dangling] = await load(
      { layers: [await layer('a', 1)], tags: ['team/app:1.0', 'app:1'], created: '2020-01-01T00:00:00Z' },
      {
        layers: [await layer('b', 1)],
        tags: ['app:2'],
        created: '2022-01-01T00:00:00Z',
        labels: { kind: 'web', x: '' },
      },
      { layers: [await layer('c', 1)], tags: ['gone:1'], created: '2024-01-01T00:00:00Z', labels: { kind: 'db' } },
    )
    expect(await engine.images.untag('gone:1')).toBe(true)
    expect(await engine.images.untag('gone:1')).toBe(false)
    const list = async (filter: Parameters<typeof engine.images.list>[0]) =>
      (await idsOf(engine.images.list(filter))).sort()
    const ids = (...images: readonly (Image | undefined)[]) => images.map((image) => image!.id).sort()
    expect(await list({ dangling: true })).toEqual(ids(dangling))
    expect(await list({ dangling: false, name: 'app' })).toEqual(ids(old, young))
    expect(await list({ reference: 'app' })).toEqual(ids(old, young))
    expect(await list({ reference: ['*/*', 'app:2'] })).toEqual(ids(old, young))
    expect(await list({ labels: 'kind' })).toEqual(ids(young, dangling))
    expect(await list({ labels: ['kind=web', 'x='] })).toEqual(ids(young))
    expect(await list({ labels: { kind: undefined, x: undefined } })).toEqual(ids(young))
    expect(await list({ before: 'app:2', reference: '*' })).toContain(old!.id)
    expect(await list({ since: 'app:2' })).toEqual(ids(dangling))
    expect(await list({ since: old!, before: dangling! })).toEqual(ids(young))
    expect(await list({ until: new Date('2021-01-01'), name: 'app' })).toEqual(ids(old))
    for (const [filter, code] of [
      [{ color: 'red' }, 'call.unknown_option'],
      [{ dangling: 'yes' }, 'call.bad_option'],
      [{ labels: { a: 1 } }, 'call.bad_option'],
      [{ until: new Date('x') }, 'call.bad_option'],
      [{ reference: '[' }, 'image.bad_pattern'],
      [{ before: 'nothing' }, 'image.not_found'],
    ] as const)
      await expect(list(filter as never)).rejects.toMatchObject({ code })
  })
})

describe('removal', () => {
  test('frees at once what nothing else needs', async () => {
    const [before, blobsBefore] = [trees(), blobs()]
    const base = await layer('base', 5000)
    const [one] = await load(
      { layers: [base, await layer('one', 700)], tags: ['one:1'] },
      { layers: [base, await layer('two', 800)], tags: ['two:1'] },
    )
    expect(trees()).toBe(before + 3)
    const removed = await engine.images.remove('one:1')
    expect(removed.untagged).toEqual(['one:1'])
    expect(removed.deleted).toEqual([one!.id])
    expect(removed.spaceReclaimed).toBeGreaterThan(700)
    expect(trees()).toBe(before + 2)
    const two = await engine.images.get('two:1')
    expect((await two.remove()).spaceReclaimed).toBeGreaterThan(5800)
    expect(trees()).toBe(before)
    expect(blobs()).toBe(blobsBefore)
    expect(await engine.gc()).toMatchObject({ snapshots: [], blobs: [], freedBytes: 0 })
  })

  test('what a container was committed to goes with the image that it was made from', async () => {
    const before = trees()
    const base = await engine.images.get(imageName)
    const own = await base.inspect()
    await base.tag('base:1')
    const commit = async (reference: string, from: string, script: string) => {
      const container = await engine.containers.run({ image: from, networks: 'none', command: ['sh', '-c', script] })
      await container.wait()
      const image = await container.commit({ reference, message: reference, changes: ['ENV COMMITTED=1'] })
      await container.remove()
      return image
    }
    const middle = await commit('middle:1', 'base:1', 'head -c 5000 /dev/zero > /new')
    // Nothing was written: no layer, no cost.
    const top = await commit('top:1', 'middle:1', 'true')
    const facts = await top.inspect()
    expect(facts).toMatchObject({ parent: middle.id, comment: 'top:1', unpackedSize: own.unpackedSize + 5000 })
    expect((await middle.inspect()).parent).toBe(base.id)
    expect((await top.history()).slice(-2).map(({ comment, size, tags }) => ({ comment, size, tags }))).toEqual([
      { comment: 'middle:1', size: 5000, tags: ['middle:1'] },
      { comment: 'top:1', size: 0, tags: ['top:1'] },
    ])
    await expect(base.remove({ force: true })).rejects.toMatchObject({ code: 'image.has_children' })
    expect(await engine.images.remove('base:1')).toEqual({ untagged: ['base:1'], deleted: [], spaceReclaimed: 0 })
    expect((await engine.images.remove('middle:1')).deleted).toEqual([])
    expect(await idsOf(engine.images.list({ dangling: true }))).toEqual([])
    expect((await engine.images.prune()).deleted).toEqual([])
    const removed = await engine.images.remove('top:1')
    expect(removed.deleted).toEqual([top.id, middle.id])
    expect(removed.spaceReclaimed).toBeGreaterThan(5000)
    expect(trees()).toBe(before)
  })

  test('what a killed process left to free is freed by the next that opens', async () => {
    const before = trees()
    const [one] = await load({ layers: [await layer('one', 700)], tags: ['one:1'] })
    const facts = await one!.inspect()
    {
      using db = new Database(join(place.root, 'state.db'))
      db.transaction(() => {
        db.run('DELETE FROM image_names WHERE manifest = ?', facts.manifest)
        db.run('DELETE FROM images WHERE manifest = ?', facts.manifest)
        for (const [kind, item] of [
          ['blob', facts.manifest],
          ['blob', facts.id],
          ['blob', facts.layers[0]!.digest],
          ['snapshot', facts.layers[0]!.diffId],
        ])
          db.run('INSERT INTO removals VALUES (?, ?)', kind!, item!)
      })
    }
    expect(trees()).toBe(before + 1)
    await using other = await place.open()
    expect(trees()).toBe(before)
    expect(existsSync(join(place.root, 'content/blobs/sha256', facts.id.slice(7)))).toBe(false)
    expect(await other.images.find('one:1')).toBe(null)
    using db = new Database(join(place.root, 'state.db'))
    expect(db.all('SELECT * FROM removals')).toEqual([])
  })

  test('layers stay while a container stands on them, and go with gc', async () => {
    const before = trees()
    const [one] = await load({ layers: [await layer('one', 700)], tags: ['one:1'] })
    const container = await engine.containers.create({ image: 'one:1', networks: 'none', command: ['x'] })
    await expect(one!.remove()).rejects.toMatchObject({ code: 'image.in_use' })
    expect((await one!.inspect()).containers).toBe(1)
    expect((await one!.remove({ force: true })).deleted).toEqual([one!.id])
    expect(trees()).toBe(before + 1)
    await container.remove()
    expect((await engine.gc()).snapshots).toHaveLength(1)
  })
})

describe('prune', () => {
  test('dangling images, unused images, stopped containers', async () => {
    const [a, b] = await load(
      { layers: [await layer('a', 100)], tags: ['a:1'] },
      { layers: [await layer('b', 100)], tags: ['b:1'], labels: { keep: 'no' } },
    )
    await engine.images.untag('a:1')
    const events = engine
      .events({ follow: true, types: ['image'], actions: ['delete', 'prune'] })
      [Symbol.asyncIterator]()
    const first = events.next()
    expect(await engine.images.prune({ until: '1h', labels: 'keep' })).toMatchObject({ deleted: [] })
    const dangling = await engine.images.prune()
    expect(dangling.deleted).toEqual([a!.id])
    expect(dangling.spaceReclaimed).toBeGreaterThan(100)
    expect((await first).value?.action).toBe('prune')
    expect((await events.next()).value).toMatchObject({ action: 'delete', subject: a!.id })
    await events.return?.()
    const ended = await engine.containers.run({ image: imageName, networks: 'none', command: ['true'] })
    await ended.wait()
    const waiting = await engine.containers.create({ image: imageName, networks: 'none', command: ['true'] })
    await using running = await engine.containers.run({ image: imageName, networks: 'none', command: ['sleep', '100'] })
    await using other = await place.open()
    // They belong to a process that lives.
    expect(await other.containers.prune()).toEqual({ deleted: [], spaceReclaimed: 0 })
    const report = await engine.prune({ containers: true, images: { all: true, labels: { keep: 'no' } } })
    expect(report.containers?.deleted).toEqual([ended.id])
    expect(report.images).toMatchObject({ untagged: ['b:1'], deleted: [b!.id] })
    expect(report.spaceReclaimed).toBe(report.containers!.spaceReclaimed + report.images!.spaceReclaimed)
    expect((await engine.prune({ containers: { until: 0 } })).containers?.deleted).toEqual([waiting.id])
    expect(await engine.prune({ images: { all: true } })).toMatchObject({ containers: null, images: { deleted: [] } })
    expect((await running.inspect()).status).toBe('running')
    for (const [what, code] of [
      [{ volumes: true }, 'call.unknown_option'],
      [{ images: 'all' }, 'call.bad_option'],
      [{ images: { dangling: true } }, 'call.unknown_option'],
      [{ containers: { until: 'soon' } }, 'container.bad_spec'],
    ] as const)
      await expect(engine.prune(what as never)).rejects.toMatchObject({ code })
  })

  test('beside processes that load and pull images and make containers of them', { timeout: 120_000 }, async () => {
    const archive = join(place.directory, 'raced.tar')
    const layers = [await layer('raced', 5000), await layer('top', 100)]
    await load({ layers, tags: ['raced:1'] })
    await using registry = await startRegistry()
    const { reference } = await publishImage(registry.host, 'raced:1', layers)
    await engine.images.save(['raced:1'], archive)
    const child = join(import.meta.dirname, 'load-and-create-child.ts')
    const racing = [archive, reference].map((source) =>
      promisify(execFile)(process.execPath, ['--conditions=tscontainer-source', child, place.root, source, '25']),
    )
    let done = false
    const racers = Promise.all(racing).finally(() => {
      done = true
    })
    racers.catch(() => {})
    let pruned = 0
    while (!done) {
      pruned += (await engine.images.prune({ all: true })).deleted.length
      await setTimeout(1)
    }
    const outcomes = (await racers).map(({ stdout }) => JSON.parse(stdout) as { made: number; gone: number })
    for (const { made, gone } of outcomes) expect(made + gone).toBe(25)
    // Both happen: a container keeps its image, and an image that is gone in time is told to be.
    expect(outcomes.reduce((sum, { made }) => sum + made, 0)).toBeGreaterThan(0)
    expect(pruned).toBeGreaterThan(0)
    expect((await engine.check({ contents: true })).problems).toEqual([])
  })
})
