import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { recordImage } from '../testing/system/record-image.ts'

let fixture: ContentFixture
beforeEach(() => {
  fixture = contentFixture()
})
afterEach(() => fixture[Symbol.asyncDispose]())

const forProcess = { lifetime: 'process' } as const
const nobody = () => false
/** What is removed when all owners of images are gone. */
const left = () => fixture.images.removeAbandoned(() => true).deleted
const owners = () => fixture.state.db.all('SELECT * FROM image_owners')

test('an image goes with its process, by the rules of removal', async () => {
  const { images } = fixture
  const kept = await recordImage(fixture, 'kept', { names: ['kept'], layers: ['base', 'kept'] })
  const own = await recordImage(fixture, 'own', { names: ['own:1', 'own:2'], layers: ['base'], ...forProcess })
  expect([kept, own].map(({ id }) => images.lifetimeOf(id))).toEqual(['kept', 'process'])
  expect(images.removeAbandoned(nobody).deleted).toEqual([])
  const removal = images.removeAbandoned((owner) => owner === fixture.owner.id)
  expect(removal).toMatchObject({ deleted: [own.id], untagged: own.names })
  // Recorded, so that a kill before they are freed loses nothing.
  expect(fixture.state.db.all('SELECT item FROM removals').length).toBe(removal.items.length)
  expect(images.list().map(({ id }) => id)).toEqual([kept.id])
  expect(images.index.isCurrent()).toBe(true)
  expect(owners()).toEqual([])
})

test('what containers or other images need stays until they are gone', async () => {
  const base = await recordImage(fixture, 'base', { names: ['base'], ...forProcess })
  const child = await recordImage(fixture, 'child', { names: ['child'], layers: ['base', 'child'], parent: base.id })
  expect(left()).toEqual([])
  fixture.images.remove('child')
  fixture.users = [{ container: 'c'.repeat(64), running: false }]
  expect(left()).toEqual([])
  fixture.users = []
  expect(left()).toEqual([base.id])
  expect(fixture.images.find(child.id)).toBe(null)
})

test('images that were made from each other go together', async () => {
  const base = await recordImage(fixture, 'base', { names: ['base'], ...forProcess })
  const child = await recordImage(fixture, 'child', { layers: ['base', 'child'], parent: base.id, ...forProcess })
  expect(left()).toEqual([child.id, base.id])
})

test('what was here before is not taken over', async () => {
  const { id } = await recordImage(fixture, 'a', { names: ['a'] })
  await recordImage(fixture, 'a', { names: ['again'], ...forProcess })
  expect(fixture.images.claim(id, 'process')).toBe(true)
  expect(fixture.images.lifetimeOf(id)).toBe('kept')
  expect(left()).toEqual([])
})

test.each([
  ['recorded', () => recordImage(fixture, 'a')],
  ['claimed', async () => fixture.images.claim(fixture.images.resolve('a').id, 'kept')],
  ['tagged', async () => fixture.images.tag(fixture.images.resolve('a'), 'b')],
])('one that is %s again is a kept one', async (_, again) => {
  const { id } = await recordImage(fixture, 'a', { names: ['a'], ...forProcess })
  await again()
  expect(fixture.images.lifetimeOf(id)).toBe('kept')
  expect(left()).toEqual([])
  await recordImage(fixture, 'a', forProcess)
  expect(fixture.images.lifetimeOf(id)).toBe('kept')
})

test('one that was asked for by several processes goes with the last of them', async () => {
  const other = fixture.reopen()
  const { id } = await recordImage(fixture, 'a', { names: ['a'], ...forProcess })
  await recordImage(other, 'a', { names: ['b'], ...forProcess })
  expect(fixture.images.removeAbandoned((owner) => owner === fixture.owner.id).deleted).toEqual([])
  expect(fixture.images.resolve('a').id).toBe(id)
  await other[Symbol.asyncDispose]()
  expect(left()).toEqual([id])
})

test('a removed image leaves its owners nothing', async () => {
  const { images } = fixture
  const { id } = await recordImage(fixture, 'a', { names: ['a'], ...forProcess })
  images.remove('a')
  expect(owners()).toEqual([])
  expect(images.claim(id, 'process')).toBe(false)
  // As records of an older state would have it.
  fixture.state.db.run('INSERT INTO image_owners VALUES (?, ?)', id, 'somebody')
  await recordImage(fixture, 'a', { names: ['a'], ...forProcess })
  expect(owners()).toEqual([{ image: id, owner: fixture.owner.id }])
})

test('a second packing of the same image, made for a push, does not keep it', async () => {
  const { images, content } = fixture
  const own = await recordImage(fixture, 'a', { names: ['a'], ...forProcess })
  await content.withLease((lease) =>
    images.createAll([{ manifest: own.manifest, names: ['pushed'] }], { lease, lifetime: 'unchanged' }),
  )
  expect(images.lifetimeOf(own.id)).toBe('process')
})
