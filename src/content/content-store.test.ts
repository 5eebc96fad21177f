import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Digest, digestOf } from '../oci/digest.ts'
import type { ProgressEvent } from '../progress/progress-event.ts'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'

let fixture: ContentFixture
beforeEach(() => {
  fixture = contentFixture()
})
afterEach(() => fixture[Symbol.asyncDispose]())

const bytes = Buffer.from('the quick brown fox '.repeat(5000))
const digest = digestOf(bytes)
const pieces = async function* (content: Buffer, size = 1000) {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size)
}
const collect = async (source: AsyncIterable<Uint8Array>) => {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}
/** An image row that needs the blob. */
const pin = (...digests: Digest[]) => {
  const { db } = fixture.state
  db.run("INSERT OR IGNORE INTO images VALUES ('sha256:m', 'sha256:i', 'x', 1, 1, NULL, NULL)")
  for (const [at, item] of digests.entries())
    db.run("INSERT INTO image_blobs VALUES ('sha256:m', ?, NULL, ?)", item, at)
}

describe('ingest', () => {
  test('stores what the digest says and reads it back verified', async () => {
    const events: ProgressEvent[] = []
    await fixture.content.withLease(async (lease) => {
      const blob = await fixture.content.ingest(pieces(bytes), {
        lease,
        expected: { digest, size: bytes.length },
        report: (event) => events.push(event),
      })
      expect(blob).toEqual({ digest, size: bytes.length, reused: false })
      expect(events.at(-1)).toEqual({ type: 'item-done', item: digest, reused: false })
      const again = await fixture.content.ingest(
        () => {
          throw new Error('must not be read')
        },
        { lease, expected: { digest } },
      )
      expect(again).toEqual({ digest, size: bytes.length, reused: true })
      expect(await collect(fixture.content.openRead(digest))).toEqual(bytes)
    })
    expect(fixture.files()).toEqual({ blobs: [digest.slice(7)], ingest: [] })
    expect(JSON.parse(readFileSync(join(fixture.root, 'content/oci-layout'), 'utf8'))).toEqual({
      imageLayoutVersion: '1.0.0',
    })
  })

  test('sha512 digests are kept as such', async () => {
    const expected = `sha512:${execFileSync('sha512sum', { input: bytes }).toString().slice(0, 128)}` as Digest
    await fixture.content.withLease((lease) =>
      fixture.content.ingest([bytes], { lease, expected: { digest: expected } }),
    )
    expect(await fixture.content.readBytes(expected, { maxBytes: 1e6 })).toEqual(bytes)
  })

  test.each([
    ['another digest', { digest: digestOf('other') }, 'content.digest_mismatch'],
    ['too many bytes', { digest, size: bytes.length - 1 }, 'content.size_mismatch'],
    ['too few bytes', { digest, size: bytes.length + 1 }, 'content.size_mismatch'],
  ])('refuses %s and keeps nothing', async (_name, expected, code) => {
    await fixture.content.withLease(async (lease) => {
      await expect(fixture.content.ingest(pieces(bytes), { lease, expected })).rejects.toMatchObject({ code })
    })
    expect(fixture.files()).toEqual({ blobs: [], ingest: [] })
  })

  test('stops at the size limit', async () => {
    const endless = async function* () {
      while (true) yield bytes
    }
    await fixture.content.withLease(async (lease) => {
      const call = fixture.content.ingest(endless(), { lease, maxSize: 1e6 })
      await expect(call).rejects.toMatchObject({ code: 'content.too_large' })
    })
    expect(fixture.files().ingest).toEqual([])
  })

  test('an abort ends a source that stalls, and leaves nothing', async () => {
    const controller = new AbortController()
    const stalled = async function* () {
      yield bytes
      await new Promise(() => {})
    }
    await fixture.content.withLease(async (lease) => {
      const call = fixture.content.ingest(stalled(), { lease, signal: controller.signal })
      setTimeout(() => controller.abort(), 20)
      await expect(call).rejects.toMatchObject({ kind: 'aborted' })
    })
    expect(fixture.files().ingest).toEqual([])
  })

  test('copies a range of a file', async () => {
    const file = join(fixture.scratch, 'archive')
    const big = Buffer.alloc(3_500_000, 'abcdefg')
    writeFileSync(file, Buffer.concat([bytes, big, bytes]))
    const source = await open(file, 'r')
    await fixture.content.withLease(async (lease) => {
      await using writer = await fixture.content.openWriter({ lease })
      await writer.copyFrom(source, bytes.length, big.length)
      expect(await writer.commit()).toMatchObject({ digest: digestOf(big), size: big.length })
      await using short = await fixture.content.openWriter({ lease })
      await expect(short.copyFrom(source, 0, 1e8)).rejects.toMatchObject({ code: 'content.size_mismatch' })
    })
    await source.close()
    expect(fixture.files()).toEqual({ blobs: [digestOf(big).slice(7)], ingest: [] })
  })

  test('the same blob from many writers at once', async () => {
    await fixture.content.withLease(async (lease) => {
      const blobs = await Promise.all(
        Array.from({ length: 8 }, () => fixture.content.ingest(pieces(bytes), { lease, expected: { digest } })),
      )
      expect(new Set(blobs.map((blob) => blob.digest))).toEqual(new Set([digest]))
    })
    expect(fixture.files()).toEqual({ blobs: [digest.slice(7)], ingest: [] })
  })
})

describe('resume', () => {
  const half = bytes.length / 2
  const failing = async function* () {
    yield bytes.subarray(0, half)
    throw new Error('connection lost')
  }

  test('goes on where the last attempt ended, once', async () => {
    const { content } = fixture
    await content.withLease(async (lease) => {
      const options = { lease, ref: 'pull-1', expected: { digest, size: bytes.length } }
      await expect(content.ingest(failing(), options)).rejects.toThrow('connection lost')
      expect(fixture.files().ingest).toHaveLength(1)
      const offsets: number[] = []
      const source = (from: { offset: number }) => {
        offsets.push(from.offset)
        return pieces(bytes.subarray(from.offset))
      }
      await Promise.all([content.ingest(source, options), content.ingest(source, options)])
      // The other one waited for the blob.
      expect(offsets).toEqual([half])
    })
    expect(fixture.files()).toEqual({ blobs: [digest.slice(7)], ingest: [] })
  })

  test('a source that cannot go on starts again', async () => {
    const { content } = fixture
    await content.withLease(async (lease) => {
      const options = { lease, ref: 'pull-1', expected: { digest } }
      await expect(content.ingest(failing(), options)).rejects.toThrow('connection lost')
      await content.ingest(async (from) => {
        await from.restart()
        return pieces(bytes)
      }, options)
      await expect(content.ingest(failing(), { lease, ref: 'pull-2' })).rejects.toThrow('connection lost')
      expect((await content.ingest(pieces(bytes), { lease, ref: 'pull-2' })).digest).toBe(digest)
    })
  })

  test('a wrong partial is thrown away and the whole fetched once more', async () => {
    const { content } = fixture
    const wrong = async function* () {
      yield Buffer.alloc(100, 'x')
      throw new Error('connection lost')
    }
    await content.withLease(async (lease) => {
      const options = { lease, ref: 'pull-1', expected: { digest, size: bytes.length } }
      await expect(content.ingest(wrong(), options)).rejects.toThrow('connection lost')
      const offsets: number[] = []
      const source = (from: { offset: number }) => {
        offsets.push(from.offset)
        return pieces(bytes.subarray(from.offset))
      }
      expect((await content.ingest(source, options)).digest).toBe(digest)
      expect(offsets).toEqual([100, 0])
      expect(fixture.files().ingest).toEqual([])
    })
  })
})

describe('damage', () => {
  beforeEach(async () => {
    await fixture.content.withLease((lease) => fixture.content.ingest([bytes], { lease, expected: { digest } }))
  })

  test('a flipped bit is seen at the end of the read', async () => {
    const file = fixture.content.fileOf(digest)
    const content = readFileSync(file)
    content[77]! ^= 1
    writeFileSync(file, content)
    await expect(collect(fixture.content.openRead(digest))).rejects.toMatchObject({
      kind: 'data_loss',
      code: 'content.digest_mismatch',
    })
  })

  test('a blob of another size is not there, and is replaced by the next ingest', async () => {
    appendFileSync(fixture.content.fileOf(digest), 'x')
    expect(fixture.content.has(digest)).toBe(false)
    expect(() => fixture.content.openRead(digest)).toThrow(expect.objectContaining({ code: 'content.damaged' }))
    await fixture.content.withLease((lease) => fixture.content.ingest([bytes], { lease, expected: { digest } }))
    expect(await fixture.content.readBytes(digest, { maxBytes: 1e6 })).toEqual(bytes)
  })

  test('JSON', async () => {
    await expect(fixture.content.readJson(digest)).rejects.toMatchObject({ code: 'content.bad_json' })
    await expect(fixture.content.readJson(digest, { maxBytes: 10 })).rejects.toMatchObject({
      code: 'content.too_large',
    })
    await expect(fixture.content.readJson(digestOf('nothing'))).rejects.toMatchObject({ code: 'content.not_found' })
  })
})

describe('garbage', () => {
  const put = async (text: string) => {
    const { content } = fixture
    return content.withLease(async (lease) => (await content.ingest([Buffer.from(text)], { lease })).digest)
  }

  test('keeps what images and leases need, and only that', async () => {
    const { content } = fixture
    const [named, leased, loose] = [await put('named'), await put('leased'), await put('loose')]
    pin(named)
    const lease = content.createLease()
    lease.addBlob(leased)
    writeFileSync(join(fixture.root, 'content/blobs/sha256', digestOf('orphan').slice(7)), 'orphan')
    const report = await content.collectGarbage()
    expect([...report.removed].sort()).toEqual([loose, digestOf('orphan')].sort())
    expect(report.freedBytes).toBe(11)
    expect(fixture.files().blobs).toEqual([named, leased].map((item) => item.slice(7)).sort())
    lease.release()
    expect((await content.collectGarbage()).removed).toEqual([leased])
    expect((await content.collectGarbage()).removed).toEqual([])
  })

  test('discard takes back what the lease brought and nobody named', async () => {
    const { content } = fixture
    const lease = content.createLease()
    const kept = await content.ingest([Buffer.from('kept')], { lease })
    await content.ingest([Buffer.from('spooled')], { lease })
    pin(kept.digest)
    content.discard(lease)
    expect(fixture.files()).toEqual({ blobs: [kept.digest.slice(7)], ingest: [] })
  })

  test('a dead process leaves neither leases nor files; what it was pulling can be resumed', async () => {
    const child = spawn(
      process.execPath,
      ['--conditions=tscontainer-source', join(import.meta.dirname, '../testing/system/ingest-child.ts'), fixture.root],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await once(child.stdout, 'data')
    expect(fixture.files().ingest).toHaveLength(2)
    expect((await fixture.content.collectGarbage()).removed).toEqual([])
    child.kill('SIGKILL')
    await once(child, 'exit')
    const leased = fixture.files().blobs
    expect(leased).toHaveLength(1)
    const report = await fixture.content.collectGarbage()
    expect(report.removed).toEqual([`sha256:${leased[0]}`])
    const left = fixture.files().ingest
    expect(left).toHaveLength(1)
    await fixture.content.withLease(async (lease) => {
      const offsets: number[] = []
      await fixture.content.ingest(
        (from) => {
          offsets.push(from.offset)
          return pieces(Buffer.alloc(10))
        },
        { lease, ref: 'child' },
      )
      expect(offsets).toEqual([5000])
    })
    expect(fixture.files().ingest).toEqual([])
  })

  test('old partials go', async () => {
    await fixture.content.withLease(async (lease) => {
      const failing = async function* () {
        yield bytes
        throw new Error('lost')
      }
      await expect(fixture.content.ingest(failing(), { lease, ref: 'old' })).rejects.toThrow('lost')
    })
    await fixture.content.collectGarbage()
    expect(fixture.files().ingest).toHaveLength(1)
    await fixture.content.collectGarbage({ partialMaxAgeMs: -1 })
    expect(fixture.files().ingest).toEqual([])
  })

  test('collecting while another engine ingests the same digests loses none of them', async () => {
    await using other = fixture.reopen()
    const texts = Array.from({ length: 40 }, (_, at) => Buffer.from(`blob ${at}`))
    const lease = other.content.createLease()
    let stop = false
    const collecting = (async () => {
      while (!stop) await fixture.content.collectGarbage()
    })()
    for (let round = 0; round < 5; round++) {
      // Loose copies come and go beside those that the other engine needs.
      await Promise.all(texts.map((text) => put(text.toString())))
      await Promise.all(
        texts.map((text) => other.content.ingest([text], { lease, expected: { digest: digestOf(text) } })),
      )
      for (const text of texts) {
        expect(other.content.has(digestOf(text))).toBe(true)
        expect(existsSync(other.content.fileOf(digestOf(text)))).toBe(true)
      }
    }
    stop = true
    await collecting
    lease.release()
  })

  test('the same with collectors in processes of their own', async () => {
    const script = join(import.meta.dirname, '../testing/system/collect-child.ts')
    const arguments_ = ['--conditions=tscontainer-source', script, fixture.root]
    const children = [1, 2].map(() => spawn(process.execPath, arguments_, { stdio: ['ignore', 'pipe', 'inherit'] }))
    await Promise.all(children.map((child) => once(child.stdout, 'data')))
    const texts = Array.from({ length: 12 }, (_, at) => Buffer.from(`blob ${at}`))
    const until = Date.now() + 1500
    while (Date.now() < until) {
      const lease = fixture.content.createLease()
      await Promise.all(
        texts.map((text) => fixture.content.ingest([text], { lease, expected: { digest: digestOf(text) } })),
      )
      for (const text of texts) {
        expect(fixture.content.has(digestOf(text))).toBe(true)
        expect(await fixture.content.readBytes(digestOf(text), { maxBytes: 100 })).toEqual(text)
      }
      lease.release()
    }
    for (const child of children) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await fixture.content.collectGarbage()
    expect(fixture.files()).toEqual({ blobs: [], ingest: [] })
  })
})
