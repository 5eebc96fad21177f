import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { diffOf, recordImage } from '../testing/system/record-image.ts'
import { ImageSharing } from './image-sharing.ts'

let fixture: ContentFixture
beforeEach(() => {
  fixture = contentFixture()
})
afterEach(() => fixture[Symbol.asyncDispose]())

const ids = () => new Set(fixture.images.list().map(({ id }) => id))
const digest = `sha256:${'d'.repeat(64)}`
const stopped = { container: 'c'.repeat(64), running: false }

describe('images made from images', () => {
  test('a base that lost its name goes with the last image made from it', async () => {
    const { images } = fixture
    const base = await recordImage(fixture, 'base', { names: ['base'] })
    const middle = await recordImage(fixture, 'middle', { layers: ['base', 'middle'], parent: base.id })
    const one = await recordImage(fixture, 'one', { names: ['one'], layers: ['base', '1'], parent: middle.id })
    const two = await recordImage(fixture, 'two', { names: ['two'], layers: ['base', '2'], parent: middle.id })
    expect(images.resolve('two').parent).toBe(middle.id)
    expect(() => images.remove(base.id, { force: true })).toThrow(
      expect.objectContaining({ code: 'image.has_children', details: { children: [middle.id] } }),
    )
    // By name it only loses that.
    expect(images.remove('base')).toMatchObject({ untagged: ['docker.io/library/base:latest'], deleted: [] })
    expect(images.remove('one').deleted).toEqual([one.id])
    expect(images.remove('two').deleted).toEqual([two.id, middle.id, base.id])
    expect(ids()).toEqual(new Set())
  })

  test('parents stay with noPrune, with a name, with a container', async () => {
    const { images } = fixture
    const make = async (name: string) => {
      const base = await recordImage(fixture, 'base')
      return [base, await recordImage(fixture, name, { names: [name], parent: base.id })] as const
    }
    const [base, one] = await make('one')
    expect(images.remove('one', { noPrune: true }).deleted).toEqual([one.id])
    const [, two] = await make('two')
    images.tag(base, 'base')
    expect(images.remove('two').deleted).toEqual([two.id])
    images.untag('base')
    const [, three] = await make('three')
    fixture.users = [stopped]
    expect(images.remove('three', { force: true }).deleted).toEqual([three.id])
    expect(ids()).toEqual(new Set([base.id]))
  })

  test('the parent is kept in the index, too', async () => {
    const base = await recordImage(fixture, 'base')
    await recordImage(fixture, 'one', { names: ['one'], parent: base.id })
    expect(fixture.images.index.isCurrent()).toBe(true)
    expect(fixture.images.index.read()?.map(({ parent }) => parent)).toEqual([null, base.id])
  })
})

describe('digests of registries', () => {
  test('keep no image from being dangling, and go with the last tag of their repository', async () => {
    const { images } = fixture
    const names = ['app:1', `app@${digest}`, `example.com/app@${digest}`, 'other:1']
    const a = await recordImage(fixture, 'a', { names })
    expect(images.remove('other:1')).toMatchObject({ untagged: ['docker.io/library/other:1'], deleted: [] })
    const last = images.remove('app:1')
    expect(last.untagged).toEqual(['docker.io/library/app:1', `docker.io/library/app@${digest}`])
    expect(last.deleted).toEqual([])
    expect(images.listed()).toMatchObject([{ id: a.id, dangling: true }])
    expect(images.remove(`example.com/app@${digest}`).deleted).toEqual([a.id])
  })

  test('tags of other repositories do not hold them', async () => {
    const { images } = fixture
    const a = await recordImage(fixture, 'a', { names: ['app:1', 'app:2', `app@${digest}`, 'other:1'] })
    expect(images.remove('app:1').untagged).toEqual(['docker.io/library/app:1'])
    expect(images.remove('app:2')).toMatchObject({
      untagged: ['docker.io/library/app:2', `docker.io/library/app@${digest}`],
      deleted: [],
    })
    expect(images.remove('other:1').deleted).toEqual([a.id])
  })
})

describe('prune', () => {
  test('dangling images go, children before those they were made from', async () => {
    const { images } = fixture
    const base = await recordImage(fixture, 'base')
    const top = await recordImage(fixture, 'top', { parent: base.id, names: [`app@${digest}`] })
    const named = await recordImage(fixture, 'named', { names: ['named'] })
    const removal = images.prune([base.id, named.id, top.id], 'dangling')
    expect(removal.deleted).toEqual([top.id, base.id])
    expect(removal.untagged).toEqual([`docker.io/library/app@${digest}`])
    expect(images.prune([base.id, named.id], 'dangling').deleted).toEqual([])
    expect(images.index.isCurrent()).toBe(true)
    expect(images.prune([named.id], 'unused')).toMatchObject({ untagged: named.names, deleted: [named.id] })
  })

  test('what containers use stays, whatever their state', async () => {
    const { images } = fixture
    const a = await recordImage(fixture, 'a', { names: ['a'] })
    fixture.users = [stopped]
    expect(images.prune([a.id], 'unused').deleted).toEqual([])
    expect(ids()).toEqual(new Set([a.id]))
  })

  test('what an image needed is told, and stays recorded until it is freed', async () => {
    const { images, content, state } = fixture
    const keep = await recordImage(fixture, 'keep', { names: ['keep'], layers: ['base', 'own'] })
    const a = await recordImage(fixture, 'a', { layers: ['base', 'a'] })
    images.sizes.record(diffOf('a'), 77)
    const { items } = images.prune([a.id], 'dangling')
    expect(items.filter(({ kind }) => kind === 'snapshot')).toEqual(
      a.chain.toReversed().map((item, at) => ({ kind: 'snapshot', item, bytes: at === 0 ? 77 : 0 })),
    )
    expect(state.db.all('SELECT item FROM removals ORDER BY rowid').map((row) => row['item'])).toEqual(
      items.map(({ item }) => item),
    )
    const blobs = items.filter(({ kind }) => kind === 'blob').map(({ item }) => item)
    const { removed, freedBytes } = await content.removeIfUnneeded(blobs)
    expect(removed).toHaveLength(3)
    expect(freedBytes).toBeGreaterThan(100)
    for (const { digest } of keep.layers) expect(content.has(digest)).toBe(true)
  })
})

describe('sharing', () => {
  test('layers on the same layers are counted once', async () => {
    const { images } = fixture
    const a = await recordImage(fixture, 'a', { layers: ['base', 'a'] })
    const b = await recordImage(fixture, 'b', { layers: ['base', 'b', 'c'] })
    const c = await recordImage(fixture, 'c', { layers: ['c', 'base'] })
    const bytes = new Map(['base', 'a', 'b', 'c'].map((seed, at) => [diffOf(seed), 10 ** at]))
    const sharing = new ImageSharing(images.list(), (diffId) => bytes.get(diffId) ?? 0)
    expect(sharing.of(a)).toEqual({ unpacked: 11, shared: 1, unique: 10 })
    expect(sharing.of(b)).toEqual({ unpacked: 1101, shared: 1, unique: 1100 })
    // The same files on other ones are unpacked again.
    expect(sharing.of(c)).toEqual({ unpacked: 1001, shared: 0, unique: 1001 })
    expect(sharing.total()).toBe(1 + 10 + 1100 + 1001)
    expect(sharing.total(new Set([a.id]))).toBe(11)
    expect(images.listOnBase(diffOf('base')).map(({ id }) => id)).toEqual(expect.arrayContaining([a.id, b.id]))
    expect(images.listOnBase(diffOf('base'))).toHaveLength(2)
  })
})

test('the list is what single look-ups say', async () => {
  const { images } = fixture
  for (const seed of ['a', 'b', 'c'])
    await recordImage(fixture, seed, { names: seed === 'b' ? [] : [`${seed}:1`, `${seed}:2`], layers: ['base', seed] })
  const all = images.list()
  expect(all.map((image) => ({ ...image }))).toEqual(all.map(({ id }) => ({ ...images.resolve(id) })))
  expect(images.listed().map(({ id, names }) => ({ id, names }))).toEqual(all.map(({ id, names }) => ({ id, names })))
})
