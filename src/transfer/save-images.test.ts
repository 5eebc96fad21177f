import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, createWriteStream, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ArchiveFormat } from '../archive/image-archive.ts'
import { makeFifo, openFifo, setPipeCapacity } from '../host/pipe.ts'
import type { ImageRecord } from '../image/image-record.ts'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { CountingUnpacker } from '../testing/system/counting-unpacker.ts'
import { ociLayoutFiles, oldDockerArchive, tarOf } from '../testing/system/image-fixture.ts'
import { loadImages } from './load-images.ts'
import { saveImages } from './save-images.ts'
import type { TransferServices } from './transfer-services.ts'

let fixture: ContentFixture
let services: TransferServices
const open = () => {
  const opened = contentFixture()
  return { opened, services: { ...opened, unpacker: new CountingUnpacker(), diagnostics: () => {} } }
}
beforeEach(() => {
  const made = open()
  fixture = made.opened
  services = made.services
})
afterEach(() => fixture[Symbol.asyncDispose]())

const base = await tarOf([{ name: 'bin/sh', body: 'x'.repeat(50_000), mode: 0o755 }])
const top = await tarOf([{ name: 'etc/motd', body: 'hello' }])
const one = { layers: [base, top], tags: ['one:latest', 'one:v1'] }
const two = { layers: [base], tags: ['two:latest'], env: ['A=b'] }
const nameless = { layers: [top], tags: [] }
const once_ = async function* (bytes: Uint8Array) {
  yield bytes
}
const digests = (images: readonly ImageRecord[]) =>
  new Set(images.flatMap((image) => [image.id, image.manifest.digest, ...image.layers.map((layer) => layer.digest)]))

const sources = {
  'old docker save': await oldDockerArchive([one, two, nameless]),
  'plain layers': await tarOf(ociLayoutFiles([one, two, nameless], 'plain', true).files),
  'gzip layers': await tarOf(ociLayoutFiles([one, two, nameless]).files),
  'zstd layers': await tarOf(ociLayoutFiles([one, two, nameless], 'zstd').files),
}
const formats: readonly ArchiveFormat[] = ['docker-archive', 'oci-archive', 'oci-layout']

describe.each(Object.entries(sources))('what was loaded with %s', (_source, archive) => {
  test.each(formats)('saved as %s keeps every digest and every name, the same bytes each time', async (format) => {
    await loadImages(services, once_(archive))
    const images = fixture.images.list()
    const [first, second] = [join(fixture.scratch, 'first'), join(fixture.scratch, 'second')]
    await saveImages(services, images, first, { format })
    const other = open()
    try {
      await loadImages(other.services, first)
      expect(digests(other.opened.images.list())).toEqual(digests(images))
      for (const image of images) expect(other.opened.images.resolve(image.id).names).toEqual(image.names)
      // From another root, in another order, with another history.
      await saveImages(other.services, other.opened.images.list().reverse(), second, { format })
    } finally {
      await other.opened[Symbol.asyncDispose]()
    }
    for (const name of format === 'oci-layout' ? readdirSync(first, { recursive: true, encoding: 'utf8' }) : ['']) {
      const [a, b] = [join(first, name), join(second, name)]
      if (!name.startsWith('blobs') || name.split('/').length === 3)
        expect(readFileSync(a).equals(readFileSync(b))).toBe(true)
    }
    expect(readdirSync(fixture.scratch).sort()).toEqual(['first', 'second'])
    expect(fixture.state.db.all('SELECT * FROM leases')).toEqual([])
  })
})

test('to a stream', async () => {
  await loadImages(services, once_(sources['gzip layers']))
  const path = join(fixture.scratch, 'file')
  await saveImages(services, fixture.images.list(), path)
  const stream = new PassThrough()
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await saveImages(services, fixture.images.list(), stream)
  expect(Buffer.concat(chunks).equals(readFileSync(path))).toBe(true)
})

test('one name of several', async () => {
  await loadImages(services, once_(sources['gzip layers']))
  const path = join(fixture.scratch, 'file')
  const image = fixture.images.resolve('one:v1')
  await saveImages(services, [{ image, names: ['docker.io/library/one:v1'] }], path)
  const other = open()
  const [loaded] = await loadImages(other.services, path)
  expect(loaded!.names).toEqual(['docker.io/library/one:v1'])
  await other.opened[Symbol.asyncDispose]()
})

describe('with layers packed otherwise', () => {
  test.each(['gzip', 'zstd'] as const)('%s: other manifests, the same images; nothing of it stays here', async (to) => {
    await loadImages(services, once_(sources['plain layers']))
    const images = fixture.images.list()
    const before = fixture.files()
    const [first, second] = [join(fixture.scratch, 'first'), join(fixture.scratch, 'second')]
    for (const path of [first, second])
      await saveImages(services, images, path, { format: 'oci-archive', compression: to })
    expect(readFileSync(first).equals(readFileSync(second))).toBe(true)
    expect(fixture.files()).toEqual(before)
    expect(fixture.state.db.all('SELECT * FROM leases')).toEqual([])
    const other = open()
    await loadImages(other.services, first)
    for (const image of images) {
      const again = other.opened.images.resolve(image.id)
      expect(again.names).toEqual(image.names)
      expect(again.manifest.digest).not.toBe(image.manifest.digest)
      const { layers } = await again.readManifest({})
      for (const { mediaType } of layers) expect(mediaType).toMatch(`+${to}`)
    }
    await other.opened[Symbol.asyncDispose]()
  })

  test('what is packed so already keeps its digests', async () => {
    await loadImages(services, once_(sources['gzip layers']))
    const [plain, same] = [join(fixture.scratch, 'plain'), join(fixture.scratch, 'same')]
    await saveImages(services, fixture.images.list(), plain)
    await saveImages(services, fixture.images.list(), same, { compression: 'gzip' })
    expect(readFileSync(plain).equals(readFileSync(same))).toBe(true)
  })

  test('what cannot be had is refused by name', async () => {
    await loadImages(services, once_(sources['gzip layers']))
    const save = (compression: string) =>
      saveImages(services, fixture.images.list(), join(fixture.scratch, 'x'), { compression } as object)
    await expect(save('estargz')).rejects.toMatchObject({ code: 'transfer.unsupported_compression' })
    await expect(save('none')).rejects.toMatchObject({ code: 'call.bad_option' })
    expect(readdirSync(fixture.scratch)).toEqual([])
  })
})

describe('what cannot be saved leaves nothing at the target', () => {
  let images: ImageRecord[]
  beforeEach(async () => {
    await loadImages(services, once_(sources['gzip layers']))
    images = fixture.images.list()
  })
  const left = () => readdirSync(fixture.scratch)

  test('a damaged store', async () => {
    const file = fixture.content.fileOf(fixture.images.resolve('one').layers[0]!.digest)
    const bytes = readFileSync(file)
    bytes[50]! ^= 1
    writeFileSync(file, bytes)
    for (const format of formats)
      await expect(saveImages(services, images, join(fixture.scratch, 'x'), { format })).rejects.toMatchObject({
        code: 'content.digest_mismatch',
      })
    expect(left()).toEqual([])
  })

  test('an abort', async () => {
    for (const format of formats) {
      const operation = saveImages(services, images, join(fixture.scratch, 'x'), { format })
      operation.abort()
      await expect(operation).rejects.toMatchObject({ kind: 'aborted' })
      const late = saveImages(services, images, join(fixture.scratch, 'x'), { format })
      for await (const event of late) if (event.type === 'stage') break
      late.abort()
      await expect(late).rejects.toMatchObject({ kind: 'aborted' })
    }
    expect(left()).toEqual([])
  })

  test('an abort while nobody reads', async () => {
    const blocked = new Writable({ highWaterMark: 1, write: () => {} })
    const call = saveImages(services, images, blocked, { signal: AbortSignal.timeout(30) })
    await expect(call).rejects.toMatchObject({ kind: 'aborted' })
    expect(blocked.destroyed).toBe(true)
  })

  test('an abort while a named pipe has no reader, or one that stalls', async () => {
    const fifo = join(fixture.scratch, 'fifo')
    makeFifo(fifo)
    const abort = async () => {
      const call = saveImages(services, images, fifo, { signal: AbortSignal.timeout(100) })
      await expect(call).rejects.toMatchObject({ kind: 'aborted' })
    }
    await abort()
    const reader = openFifo(fifo, 'read')
    // Less than the archive.
    setPipeCapacity(reader, 4096)
    await abort()
    closeSync(reader)
    expect(left()).toEqual(['fifo'])
  })

  test('a stream that fails', async () => {
    const broken = new Writable({ write: (_chunk, _encoding, done) => done(new Error('peer gone')) })
    await expect(saveImages(services, images, broken)).rejects.toThrow('peer gone')
    const full = createWriteStream('/dev/full')
    await expect(saveImages(services, images, full)).rejects.toMatchObject({ code: 'archive.full' })
    const stalled = new Writable({ highWaterMark: 1, write: () => setTimeout(() => stalled.destroy(), 20) })
    await expect(saveImages(services, images, stalled)).rejects.toMatchObject({ code: 'archive.write_failed' })
  })

  test('a stream that can no longer be written', async () => {
    for (const end of ['end', 'destroy'] as const) {
      const stream = new PassThrough()
      stream[end]()
      await expect(saveImages(services, images, stream)).rejects.toMatchObject({
        code: 'call.bad_option',
        details: { key: 'target' },
      })
    }
    for (const target of [null, 5])
      await expect(saveImages(services, images, target as never)).rejects.toMatchObject({ code: 'call.bad_option' })
  })

  test('bad targets', async () => {
    await expect(saveImages(services, images, join(fixture.scratch, 'no/such/x'))).rejects.toMatchObject({
      code: 'archive.write_failed',
    })
    await expect(saveImages(services, images, '/dev/full')).rejects.toMatchObject({ code: 'archive.full' })
    mkdirSync(join(fixture.scratch, 'full/of'), { recursive: true })
    const layout = saveImages(services, images, join(fixture.scratch, 'full'), { format: 'oci-layout' })
    await expect(layout).rejects.toMatchObject({ code: 'archive.target_exists' })
    await expect(saveImages(services, images, new PassThrough(), { format: 'oci-layout' })).rejects.toMatchObject({
      code: 'call.bad_option',
    })
    await expect(saveImages(services, [], join(fixture.scratch, 'x'))).rejects.toMatchObject({
      code: 'call.bad_option',
    })
    expect(left()).toEqual(['full'])
  })

  test('two images of one name', async () => {
    const names = ['docker.io/library/same:latest']
    const call = saveImages(
      services,
      images.slice(0, 2).map((image) => ({ image, names })),
      join(fixture.scratch, 'x'),
    )
    await expect(call).rejects.toMatchObject({ code: 'archive.duplicate_name' })
  })
})

test('SIGKILL in the middle of a load: the next collection leaves only what is recorded', async () => {
  await loadImages(services, once_(await oldDockerArchive([two])))
  const recorded = fixture.files().blobs
  const path = join(fixture.scratch, 'archive.tar')
  const layers = await Promise.all(
    Array.from({ length: 6 }, (_, at) => tarOf([{ name: 'f', body: Buffer.alloc(3_000_000, at) }])),
  )
  writeFileSync(path, await tarOf(ociLayoutFiles([{ layers, tags: ['big:latest'] }], 'plain').files))
  for (const delay of [0, 5, 10, 20, 30, 50, 80]) {
    const child = spawn(
      process.execPath,
      [
        '--conditions=tscontainer-source',
        join(import.meta.dirname, '../testing/system/load-child.ts'),
        fixture.root,
        path,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await once(child.stdout, 'data')
    await new Promise((resolve) => setTimeout(resolve, delay))
    child.kill('SIGKILL')
    await once(child, 'exit')
    await fixture.content.collectGarbage()
    expect(fixture.files().ingest).toEqual([])
    const image = fixture.images.find('big')
    if (image) {
      // It was quicker than the kill, so it must be whole.
      for (const layer of image.layers) await fixture.content.readBytes(layer.digest, { maxBytes: 1e8 })
      fixture.images.remove('big')
      await fixture.content.collectGarbage()
    }
    expect(fixture.files().blobs).toEqual(recorded)
    expect(fixture.images.list()).toHaveLength(1)
  }
}, 30_000)
