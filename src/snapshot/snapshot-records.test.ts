import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { recordImage } from '../testing/system/record-image.ts'
import { SnapshotRecords } from './snapshot-records.ts'

let fixture: ContentFixture
beforeEach(() => {
  fixture = contentFixture()
})
afterEach(() => fixture[Symbol.asyncDispose]())

test('layers of an image that a process of format 1 has recorded since the upgrade are needed', async () => {
  const { db } = fixture.state
  const records = new SnapshotRecords(db, 'any')
  const { chain, manifest } = await recordImage(fixture, 'one', { layers: ['base', 'one'] })
  for (const [at, id] of chain.entries()) records.addSnapshot(id, chain[at - 1] ?? null, undefined, null)
  // It knows no such column.
  db.run('UPDATE images SET chain = NULL')
  expect(records.deleteSnapshotIfUnused(chain[1]!)).toBe(false)
  expect(db.all('SELECT manifest, chain FROM images')).toEqual([{ manifest: manifest.digest, chain: chain[1] }])
})
