import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { digestOf } from '../oci/digest.ts'
import type { ProgressEvent } from '../progress/progress-event.ts'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import type { IngestOptions } from './ingestion.ts'

const bytes = Buffer.from('the quick brown fox '.repeat(200_000))
const digest = digestOf(bytes)
const half = bytes.length / 2

let fixture: ContentFixture
let other: ContentFixture
beforeEach(() => {
  fixture = contentFixture()
  other = fixture.reopen()
})
afterEach(async () => {
  await other[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

/** A source that yields the first half, then waits until it is told to go on or to fail. */
function heldSource() {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const offsets: number[] = []
  const source = async function* (from: { offset: number }) {
    offsets.push(from.offset)
    yield bytes.subarray(from.offset, half)
    await promise
    yield bytes.subarray(half)
  }
  return { source, offsets, goOn: resolve, fail: () => reject(new Error('connection lost')) }
}
const ingest = (
  at: ContentFixture,
  source: Parameters<typeof at.content.ingest>[0],
  more: Partial<IngestOptions> = {},
) =>
  at.content.withLease((lease) =>
    at.content.ingest(source, { lease, ref: 'pull', expected: { digest, size: bytes.length }, ...more }),
  )
const never = () => {
  throw new Error('must not be fetched')
}

test('the second waits for the first and takes its blob; it is told how far that one is', async () => {
  const { source, goOn } = heldSource()
  const first = ingest(fixture, source)
  await sleep(30)
  const events: ProgressEvent[] = []
  const grown: number[] = []
  const second = ingest(other, never, {
    report: (event) => events.push(event),
    onGrowth: (path, size) => {
      grown.push(size)
      expect(readFileSync(path).subarray(0, size)).toEqual(bytes.subarray(0, size))
    },
  })
  await sleep(100)
  expect(grown).toEqual([half])
  expect(events).toEqual([{ type: 'bytes', item: digest, done: half, total: bytes.length }])
  goOn()
  expect((await first).reused).toBe(false)
  expect((await second).reused).toBe(true)
  expect(events.at(-1)).toEqual({ type: 'item-done', item: digest, reused: true })
  expect(fixture.files()).toEqual({ blobs: [digest.slice(7)], ingest: [] })
})

test('when the first fails or is aborted, the second goes on where it stopped', async () => {
  for (const end of ['fail', 'abort'] as const) {
    const held = heldSource()
    const controller = new AbortController()
    const first = ingest(fixture, held.source, { signal: controller.signal })
    first.catch(() => {})
    await sleep(30)
    const offsets: number[] = []
    const second = ingest(other, async function* (from) {
      offsets.push(from.offset)
      yield bytes.subarray(from.offset)
    })
    await sleep(30)
    if (end === 'fail') held.fail()
    else controller.abort()
    await expect(first).rejects.toThrow()
    expect((await second).reused).toBe(false)
    expect(offsets).toEqual([half])
    await fixture.content.collectGarbage()
    expect(fixture.files()).toEqual({ blobs: [], ingest: [] })
  }
})

test('who waits can be aborted; the first is not disturbed', async () => {
  const { source, goOn } = heldSource()
  const first = ingest(fixture, source)
  await sleep(30)
  await expect(ingest(other, never, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ kind: 'aborted' })
  goOn()
  expect((await first).digest).toBe(digest)
})

test('many at once, in one process and in another: one fetches', async () => {
  let fetched = 0
  const source = async function* () {
    fetched++
    for (let at = 0; at < bytes.length; at += 100_000) {
      await sleep(1)
      yield bytes.subarray(at, at + 100_000)
    }
  }
  const blobs = await Promise.all([fixture, other, fixture, other, fixture].map((at) => ingest(at, source)))
  expect(fetched).toBe(1)
  expect(blobs.filter((blob) => !blob.reused)).toHaveLength(1)
})

test('what was fetched whole and not yet named is not fetched again', async () => {
  const { source, goOn } = heldSource()
  // Killed between the last byte and the name.
  const writer = await fixture.content.openWriter({ lease: fixture.content.createLease(), ref: 'pull' })
  await writer.write(bytes)
  await writer[Symbol.asyncDispose]()
  expect((await ingest(other, never)).reused).toBe(false)
  await other.content.collectGarbage()
  // Killed between the name and the record.
  const again = ingest(fixture, source)
  goOn()
  await again
  fixture.state.db.run('DELETE FROM blobs')
  expect((await ingest(other, never)).reused).toBe(true)
})

test('collection leaves a partial that is written alone, however old', async () => {
  const { source, goOn } = heldSource()
  const first = ingest(fixture, source)
  await sleep(30)
  await other.content.collectGarbage({ partialMaxAgeMs: -1 })
  expect(fixture.files().ingest).toHaveLength(1)
  goOn()
  expect((await first).digest).toBe(digest)
})
