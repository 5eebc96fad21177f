import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeFifo, openFifo } from '../host/pipe.ts'
import { mediaTypes } from '../oci/media-types.ts'
import { familiarName, parseReference } from '../reference/reference.ts'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { CountingUnpacker } from '../testing/system/counting-unpacker.ts'
import {
  configOf,
  type FixtureImage,
  ociLayoutFiles,
  oldDockerArchive,
  sha256,
  type TarFile,
  tarOf,
} from '../testing/system/image-fixture.ts'
import { loadImages } from './load-images.ts'
import type { TransferServices } from './transfer-services.ts'

let fixture: ContentFixture
let unpacker: CountingUnpacker
let services: TransferServices
beforeEach(() => {
  fixture = contentFixture()
  unpacker = new CountingUnpacker()
  services = { ...fixture, unpacker, diagnostics: () => {} }
})
afterEach(() => fixture[Symbol.asyncDispose]())

/** Bytes that no compressor makes smaller, the same every time. */
const noise = (length: number) =>
  Buffer.concat(
    Array.from({ length: Math.ceil(length / 32) }, (_, at) => createHash('sha256').update(`${at}`).digest()),
  )
const base = await tarOf([
  { name: 'bin/', type: 'directory' },
  { name: 'bin/sh', body: noise(200_000), mode: 0o755 },
])
const top = await tarOf([{ name: 'etc/motd', body: 'hello' }])
const one: FixtureImage = { layers: [base, top], tags: ['one:latest', 'one:v1'] }
const two: FixtureImage = { layers: [base], tags: ['two:latest'], env: ['A=b'] }
const nameless: FixtureImage = { layers: [base, top, top], tags: [] }

const file = (bytes: Uint8Array, name = 'archive.tar') => {
  const path = join(fixture.scratch, name)
  writeFileSync(path, bytes)
  return path
}
const slow = async function* (bytes: Uint8Array, size = 777) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
const layoutDirectory = (files: readonly TarFile[], name = 'layout') => {
  const root = join(fixture.scratch, name)
  mkdirSync(join(root, 'blobs/sha256'), { recursive: true })
  for (const { name, body, type } of files) if (type !== 'directory') writeFileSync(join(root, name), body!)
  return root
}
const short = (names: readonly string[]) => names.map((name) => familiarName(parseReference(name)))
const expectNothing = () => {
  expect(fixture.images.list()).toEqual([])
  expect(fixture.files()).toEqual({ blobs: [], ingest: [] })
  expect(fixture.state.db.all('SELECT * FROM leases')).toEqual([])
  expect(fixture.state.db.all('SELECT * FROM blobs')).toEqual([])
}

const archives = {
  'old docker save': await oldDockerArchive([one, two, nameless]),
  'current docker save': await tarOf(ociLayoutFiles([one, two, nameless], 'plain', true).files),
  'OCI archive, gzip layers': await tarOf(ociLayoutFiles([one, two, nameless]).files),
  'OCI archive, zstd layers': await tarOf(ociLayoutFiles([one, two, nameless], 'zstd').files),
}

describe.each(Object.entries(archives))('%s', (_kind, archive) => {
  test.each([
    ['a path', () => file(archive)],
    ['a stream', () => slow(archive)],
    ['a Node stream', () => Readable.from([archive])],
    ['a web stream', () => new Blob([new Uint8Array(archive)]).stream()],
    ['a gzip file', () => file(gzipSync(archive), 'archive.bin')],
    ['a zstd stream', () => slow(zstdCompressSync(archive), 50_000)],
    ['an xz file', () => file(execFileSync('xz', ['-0c'], { input: archive }))],
    ['a bzip2 stream', () => slow(execFileSync('bzip2', ['-c'], { input: archive }), 10_000)],
  ])('from %s', async (_source, source) => {
    const images = await loadImages(services, source())
    expect(images).toHaveLength(3)
    const ids = [one, two, nameless].map((image) => `sha256:${sha256(configOf(image))}`)
    expect(new Set(images.map((image) => image.id))).toEqual(new Set(ids))
    const first = fixture.images.resolve('one')
    expect(first.id).toBe(ids[0])
    expect(short(first.names)).toEqual(['one:latest', 'one:v1'])
    expect(fixture.images.resolve('two:latest').id).toBe(ids[1])
    expect(fixture.images.resolve(ids[2]!.slice(7, 19)).names).toEqual([])
    expect((await fixture.images.resolve('two').config()).config?.Env).toEqual(['A=b'])
    expect(first.layers.map((layer) => layer.diffId)).toEqual([base, top].map((layer) => `sha256:${sha256(layer)}`))
    // Only what the images name is left: no spooled metadata, no leases, nothing half written.
    const needed = fixture.images
      .list()
      .flatMap((image) => [image.id, image.manifest.digest, ...image.layers.map((l) => l.digest)])
    expect(fixture.files()).toEqual({ blobs: [...new Set(needed)].map((item) => item.slice(7)).sort(), ingest: [] })
    expect(fixture.state.db.all('SELECT * FROM leases')).toEqual([])
    // Shared chains are unpacked once.
    expect(unpacker.sources).toHaveLength(3)
    expect((await fixture.content.collectGarbage()).removed).toEqual([])
  })
})

test('a layout directory keeps the digests of its manifests', async () => {
  const { files, manifests } = ociLayoutFiles([one, two])
  const images = await loadImages(services, layoutDirectory(files))
  expect([...new Set(images.map((image) => image.manifest.digest))]).toEqual(manifests)
  expect(unpacker.sources[0]?.path).toContain(fixture.scratch)
})

test('a plain file is unpacked where it lies; loading again reuses everything', async () => {
  const path = file(archives['old docker save'])
  await loadImages(services, path)
  expect(unpacker.sources.every((source) => source.path === path)).toBe(true)
  const before = fixture.files()
  const operation = loadImages(services, path)
  const reused: boolean[] = []
  for await (const event of operation) if (event.type === 'item-done') reused.push(event.reused)
  expect(reused.length).toBeGreaterThan(0)
  expect(reused).toEqual(reused.map(() => true))
  expect(fixture.files()).toEqual(before)
})

test('the same old archive always becomes the same manifest, that of a current docker save', async () => {
  const [image] = await loadImages(services, file(await oldDockerArchive([one])))
  expect(image!.manifest.digest).toBe(ociLayoutFiles([one], 'plain').manifests[0])
})

test('one configuration packed in two ways is one image', async () => {
  await loadImages(services, slow(await oldDockerArchive([{ ...one, tags: ['plain:latest'] }])))
  await loadImages(services, slow(await tarOf(ociLayoutFiles([{ ...one, tags: ['packed:latest'] }]).files)))
  expect(fixture.images.list()).toHaveLength(1)
  const [plain, packed] = [fixture.images.resolve('plain'), fixture.images.resolve('packed')]
  expect(plain.id).toBe(packed.id)
  expect(plain.manifest.digest).not.toBe(packed.manifest.digest)
  expect(plain.manifests).toHaveLength(2)
  expect(short(plain.names)).toEqual(['packed:latest', 'plain:latest'])
  const { items, ...removal } = fixture.images.remove('packed')
  expect(removal).toEqual({ untagged: ['docker.io/library/packed:latest'], deleted: [] })
  expect(fixture.images.resolve('plain').manifests).toHaveLength(1)
  // The configuration is that of both.
  const { removed } = await fixture.content.removeIfUnneeded(items.map(({ item }) => item))
  expect(removed.toSorted()).toEqual([packed.manifest.digest, ...packed.layers.map(({ digest }) => digest)].toSorted())
  expect(fixture.images.remove(plain.id).deleted).toEqual([plain.id])
  await fixture.content.collectGarbage()
  expectNothing()
})

describe('names', () => {
  const withRef = (ref: string) => {
    const { files } = ociLayoutFiles([{ ...two, tags: [] }])
    return tarOf(
      files.map((item) => {
        if (item.name !== 'index.json') return item
        const index = JSON.parse(item.body as string)
        index.manifests[0].annotations = { 'org.opencontainers.image.ref.name': ref }
        return { ...item, body: JSON.stringify(index) }
      }),
    )
  }

  test.each([
    ['v1', undefined, []],
    ['v1', 'app', ['app:v1']],
    ['app:v2', undefined, ['app:v2']],
    ['localhost/app', undefined, ['localhost/app:latest']],
  ])('ref.name %s with repository %s', async (ref, repository, names) => {
    const [image] = await loadImages(services, slow(await withRef(ref)), { repository })
    expect(short(image!.names)).toEqual(names)
  })

  test('a digest that is not the image’s is nobody’s promise', async () => {
    const promised = `sha256:${'d'.repeat(64)}`
    const old = { ...two, tags: [`app@${promised}`, `app:v3@${promised}`] }
    for (const archive of [
      await oldDockerArchive([old]),
      await withRef(`app@${promised}`),
      await withRef(`app:v3@${promised}`),
    ])
      for (const { names } of await loadImages(services, slow(archive)))
        expect(names.filter((name) => name.includes('@'))).toEqual([])
    expect(fixture.images.find(`app@${promised}`)).toBeNull()
    expect(fixture.images.find('app:v3')).not.toBeNull()
    const { manifests } = ociLayoutFiles([two])
    const [image] = await loadImages(services, slow(await withRef(`app@${manifests[0]}`)))
    expect(image!.names).toContain(`docker.io/library/app@${manifests[0]}`)
  })

  test('a name that is none', async () => {
    await expect(loadImages(services, slow(await withRef('a:b:c')))).rejects.toMatchObject({ code: 'archive.corrupt' })
    expectNothing()
  })

  test('manifest.json names what the index leaves nameless', async () => {
    const { files } = ociLayoutFiles([two], 'plain', true)
    const index = JSON.parse(files.find((item) => item.name === 'index.json')!.body as string)
    for (const entry of index.manifests) delete entry.annotations
    const archive = await tarOf(
      files.map((item) => (item.name === 'index.json' ? { ...item, body: JSON.stringify(index) } : item)),
    )
    const [image] = await loadImages(services, slow(archive))
    expect(short(image!.names)).toEqual(['two:latest'])
  })
})

describe('platforms', () => {
  const index = async (platforms: readonly object[], held: readonly number[]) => {
    const images = ['amd64', 'arm64', 'arm'].map((architecture) => ({ ...two, tags: [], architecture }))
    const { files, manifests } = ociLayoutFiles(images)
    const size = (digest: string) => (files.find((item) => item.name.endsWith(digest.slice(7)))!.body as Buffer).length
    const inner = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: manifests.map((digest, at) => ({
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest,
          size: size(digest),
          ...platforms[at],
        })),
      }),
    )
    const outer = JSON.stringify({
      schemaVersion: 2,
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.index.v1+json',
          digest: `sha256:${sha256(inner)}`,
          size: inner.length,
          annotations: { 'io.containerd.image.name': 'docker.io/library/multi:latest' },
        },
      ],
    })
    const missing = manifests.filter((_, at) => !held.includes(at)).map((digest) => `blobs/sha256/${digest.slice(7)}`)
    return tarOf([
      ...files
        .filter((item) => !missing.includes(item.name))
        .map((item) => (item.name === 'index.json' ? { ...item, body: outer } : item)),
      { name: `blobs/sha256/${sha256(inner)}`, body: inner },
    ])
  }
  const all = [
    { platform: { os: 'linux', architecture: 'amd64' } },
    { platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
    { platform: { os: 'linux', architecture: 'arm', variant: 'v6' } },
  ]
  const architecture = async (platform?: string, held = [0, 1, 2]) => {
    const [image] = await loadImages(services, slow(await index(all, held)), { platform })
    return (await image!.config()).architecture
  }

  test('the machine’s by default, another on demand', async () => {
    expect(await architecture()).toBe(process.arch === 'x64' ? 'amd64' : process.arch)
    expect(await architecture('linux/arm64')).toBe('arm64')
    expect(await architecture('arm')).toBe('arm')
    expect(await architecture('linux/x86_64')).toBe('amd64')
  })

  test('the only one that the archive holds, if nothing else was asked for', async () => {
    expect(await architecture(undefined, [2])).toBe('arm')
    await expect(architecture('linux/arm64', [2])).rejects.toMatchObject({ code: 'archive.missing_file' })
  })

  test('what Docker 28 and 29 save: one platform of several, with the records of its build', async () => {
    const attestation = {
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
    }
    const archive = await index([all[0]!, all[1]!, attestation], [1, 2])
    const [image, ...more] = await loadImages(services, slow(archive))
    expect(more).toEqual([])
    expect((await image!.config()).architecture).toBe('arm64')
    expect(image!.names).toEqual(['docker.io/library/multi:latest'])
    // With the classic store: plain layers, and what they are in a field of their own.
    const { files, manifests } = ociLayoutFiles([one], 'plain', true)
    const described = files.map((file) => {
      if (file.name !== 'manifest.json') return file
      const sources = Object.fromEntries(
        one.layers.map((bytes) => [
          `sha256:${sha256(bytes)}`,
          { mediaType: mediaTypes.ociLayer, size: bytes.length, digest: `sha256:${sha256(bytes)}` },
        ]),
      )
      const [entry] = JSON.parse(String(file.body))
      return { ...file, body: JSON.stringify([{ ...entry, LayerSources: sources }]) }
    })
    const [classic] = await loadImages(services, slow(await tarOf(described)))
    expect(classic!.manifest.digest).toBe(manifests[0])
    expect(classic!.layers.map(({ digest }) => digest)).toEqual(one.layers.map((bytes) => `sha256:${sha256(bytes)}`))
  })

  test('one that there is not', async () => {
    await expect(architecture('linux/s390x')).rejects.toMatchObject({
      code: 'image.no_platform',
      details: { available: ['linux/amd64', 'linux/arm64/v8', 'linux/arm/v6'] },
    })
    await expect(
      loadImages(services, slow(archives['old docker save']), { platform: 'linux/s390x' }),
    ).rejects.toMatchObject({ code: 'image.no_platform' })
    await expect(architecture('a/b/c/d')).rejects.toMatchObject({ code: 'image.no_platform' })
    expectNothing()
  })
})

const { files } = ociLayoutFiles([one, two])
const whole = await tarOf(files)

const tarGzip = 'application/vnd.oci.image.layer.v1.tar+gzip'

describe('hostile and broken archives leave nothing', () => {
  const layerName = `blobs/sha256/${sha256(gzipSync(base))}`
  const swap = (name: string, change: (item: TarFile) => TarFile | TarFile[]) =>
    tarOf(files.flatMap((item) => (item.name === name ? change(item) : item)))
  const json = (value: unknown) => JSON.stringify(value)
  const docker = (manifest: unknown, extra: readonly TarFile[] = []) =>
    tarOf([{ name: 'manifest.json', body: json(manifest) }, ...extra])
  const config = configOf(two)
  const flipped = Buffer.from(gzipSync(base))
  flipped[flipped.length >> 1]! ^= 1

  const cases: [string, () => Promise<Uint8Array>, string | RegExp][] = [
    ['nothing', async () => new Uint8Array(), 'archive.truncated'],
    ['text', async () => Buffer.from('no archive at all '.repeat(100)), 'archive.not_an_archive'],
    ['an empty tar', () => tarOf([]), 'archive.not_an_archive'],
    ['a root file system', async () => base, 'archive.not_an_archive'],
    ['no images', () => docker([]), 'archive.not_an_archive'],
    ['truncated in a layer', async () => whole.subarray(0, 3000), 'archive.truncated'],
    ['truncated between two files', async () => whole.subarray(0, 1024), 'archive.truncated'],
    ['truncated in a header', async () => whole.subarray(0, 1024 + 100), 'archive.truncated'],
    ['truncated gzip', async () => gzipSync(whole).subarray(0, 2000), 'archive.truncated'],
    [
      'a flipped bit in a header',
      async () => {
        const bytes = Buffer.from(whole)
        bytes[1024 + 20]! ^= 1
        return bytes
      },
      'archive.corrupt',
    ],
    [
      'a flipped bit in a layer',
      () => swap(layerName, (item) => ({ ...item, body: flipped })),
      /^(archive|content)\.(digest_mismatch|corrupt)$/,
    ],
    [
      'a layer of another size',
      () => swap(layerName, (item) => ({ ...item, body: gzipSync(top) })),
      /digest_mismatch|diff_id/,
    ],
    ['a missing layer', () => swap(layerName, () => []), 'archive.missing_file'],
    [
      'index.json that is not JSON',
      () => swap('index.json', (item) => ({ ...item, body: '{"schema' })),
      'archive.corrupt',
    ],
    ['index.json that is a list', () => swap('index.json', (item) => ({ ...item, body: '[]' })), 'image.bad_manifest'],
    [
      'index.json of 17 MiB',
      () => swap('index.json', (item) => ({ ...item, body: ' '.repeat(17 << 20) })),
      'archive.limit',
    ],
    [
      'a digest that is none',
      () =>
        swap('index.json', (item) => ({
          ...item,
          body: json({ schemaVersion: 2, manifests: [{ digest: 'sha256:../../etc/passwd', size: 1 }] }),
        })),
      'image.bad_manifest',
    ],
    [
      'a negative size',
      () =>
        swap('index.json', (item) => ({
          ...item,
          body: json({ schemaVersion: 2, manifests: [{ digest: `sha256:${sha256('')}`, size: -1 }] }),
        })),
      'image.bad_manifest',
    ],
    [
      'schema 1',
      () => {
        const manifest = json({ schemaVersion: 1, name: 'x', fsLayers: [] })
        return tarOf([
          { name: 'oci-layout', body: '{}' },
          {
            name: 'index.json',
            body: json({
              schemaVersion: 2,
              manifests: [{ digest: `sha256:${sha256(manifest)}`, size: manifest.length }],
            }),
          },
          { name: `blobs/sha256/${sha256(manifest)}`, body: manifest },
        ])
      },
      'image.schema1',
    ],
    [
      'a manifest of another digest',
      () => {
        const digest = sha256('promised')
        return tarOf([
          { name: 'oci-layout', body: '{}' },
          {
            name: 'index.json',
            body: json({ schemaVersion: 2, manifests: [{ digest: `sha256:${digest}`, size: 5 }] }),
          },
          { name: `blobs/sha256/${digest}`, body: 'other' },
        ])
      },
      'archive.digest_mismatch',
    ],
    ['a name with ..', () => tarOf([{ name: '../escape', body: 'x' }]), 'archive.unsafe_path'],
    ['an absolute name', () => tarOf([{ name: '/etc/cron.d/x', body: 'x' }]), 'archive.unsafe_path'],
    [
      'a link that leaves',
      () => tarOf([{ name: 'a/layer.tar', type: 'symlink', linkname: '../../x' }]),
      'archive.unsafe_path',
    ],
    [
      'an absolute link',
      () => tarOf([{ name: 'manifest.json', type: 'symlink', linkname: '/etc/passwd' }]),
      'archive.unsafe_path',
    ],
    [
      'links in a circle',
      () =>
        tarOf([
          { name: 'manifest.json', type: 'symlink', linkname: 'b' },
          { name: 'b', type: 'symlink', linkname: 'manifest.json' },
        ]),
      'archive.corrupt',
    ],
    ['a FIFO', () => tarOf([{ name: 'manifest.json', type: 'fifo' }]), 'archive.corrupt'],
    ['a file twice', () => tarOf([...files, { name: './index.json', body: '{}' }]), 'archive.duplicate_entry'],
    [
      'manifest.json that names /etc/passwd',
      () => docker([{ Config: '/etc/passwd', Layers: [] }]),
      'archive.unsafe_path',
    ],
    [
      'manifest.json that names ..',
      () => docker([{ Config: 'c', Layers: ['../../x'] }], [{ name: 'c', body: config }]),
      'archive.unsafe_path',
    ],
    ['manifest.json without Config', () => docker([{}]), 'archive.corrupt'],
    ['manifest.json of strings', () => docker(['x', null]), 'archive.corrupt'],
    [
      'a configuration of another digest',
      () =>
        docker(
          [{ Config: `${sha256('x')}.json`, Layers: ['l'] }],
          [
            { name: `${sha256('x')}.json`, body: config },
            { name: 'l', body: base },
          ],
        ),
      'archive.digest_mismatch',
    ],
    [
      'fewer layers than diff ids',
      () => docker([{ Config: 'c', Layers: [] }], [{ name: 'c', body: config }]),
      'image.bad_manifest',
    ],
    [
      'a layer of another diff id',
      () =>
        docker(
          [{ Config: 'c', Layers: ['l'] }],
          [
            { name: 'c', body: config },
            { name: 'l', body: top },
          ],
        ),
      /digest_mismatch|diff_id/,
    ],
    [
      'a gzip layer of another diff id',
      () =>
        docker(
          [{ Config: 'c', Layers: ['l'] }],
          [
            { name: 'c', body: config },
            { name: 'l', body: gzipSync(top) },
          ],
        ),
      'layer.diff_id',
    ],
    [
      'Env that is no list',
      () =>
        docker(
          [{ Config: 'c', Layers: [] }],
          [{ name: 'c', body: json({ config: { Env: 'x' }, rootfs: { diff_ids: [] } }) }],
        ),
      'image.bad_manifest',
    ],
    ['before Docker 1.10', () => tarOf([{ name: 'repositories', body: '{}' }]), 'archive.not_an_archive'],
    [
      'a tag that is none',
      () =>
        docker(
          [{ Config: 'c', RepoTags: ['NO:way:'], Layers: ['l'] }],
          [
            { name: 'c', body: config },
            { name: 'l', body: base },
          ],
        ),
      'archive.corrupt',
    ],
  ]

  test.each(cases)('%s', async (_name, make, code) => {
    const bytes = await make()
    for (const source of [file(bytes), slow(bytes, 5000)]) {
      await expect(loadImages(services, source)).rejects.toMatchObject({ code: expect.stringMatching(code) })
      expectNothing()
    }
  })

  test.each<[string, (manifest: { config: object; layers: object[] }) => void, string]>([
    [
      'an artifact',
      (m) => Object.assign(m.config, { mediaType: 'application/vnd.cncf.helm.config.v1+json' }),
      'artifact',
    ],
    ['encrypted layers', (m) => Object.assign(m.layers[0]!, { mediaType: `${tarGzip}+encrypted` }), 'encrypted'],
    [
      'foreign layers',
      (m) => Object.assign(m.layers[0]!, { mediaType: tarGzip.replace('.v1', '.nondistributable.v1') }),
      'foreign',
    ],
  ])('%s are not for containers', async (_, change, told) => {
    const { files, manifests } = ociLayoutFiles([two])
    const old = manifests[0]!.slice(7)
    const document = JSON.parse(String(files.find(({ name }) => name.endsWith(old))!.body))
    change(document)
    const manifest = Buffer.from(JSON.stringify(document))
    const index = JSON.parse(String(files.find(({ name }) => name === 'index.json')!.body))
    for (const entry of index.manifests)
      Object.assign(entry, { digest: `sha256:${sha256(manifest)}`, size: manifest.length })
    const changed = files.map((item) => {
      if (item.name === 'index.json') return { ...item, body: JSON.stringify(index) }
      return item.name.endsWith(old) ? { name: `blobs/sha256/${sha256(manifest)}`, body: manifest } : item
    })
    await expect(loadImages(services, slow(await tarOf(changed)))).rejects.toMatchObject({
      code: 'archive.unsupported_image',
      kind: 'unsupported',
      message: expect.stringContaining(told),
    })
    expectNothing()
  })

  test('the good image beside a bad one is not recorded either', async () => {
    const bad = sha256(gzipSync(top))
    const archive = await swap(`blobs/sha256/${bad}`, () => [])
    await expect(loadImages(services, file(archive))).rejects.toMatchObject({ code: 'archive.missing_file' })
    expectNothing()
  })

  test('an index in an index in an index', async () => {
    let inner = Buffer.from(json({ schemaVersion: 2, manifests: [] }))
    const blobs: TarFile[] = []
    for (let depth = 0; depth < 8; depth++) {
      blobs.push({ name: `blobs/sha256/${sha256(inner)}`, body: inner })
      inner = Buffer.from(
        json({
          schemaVersion: 2,
          manifests: [
            {
              mediaType: 'application/vnd.oci.image.index.v1+json',
              digest: `sha256:${sha256(inner)}`,
              size: inner.length,
            },
          ],
        }),
      )
    }
    const archive = await tarOf([...blobs, { name: 'oci-layout', body: '{}' }, { name: 'index.json', body: inner }])
    await expect(loadImages(services, file(archive))).rejects.toMatchObject({ code: 'archive.limit' })
  })

  test('limits', async () => {
    const path = file(whole)
    for (const limits of [{ entries: 3 }, { pathLength: 20 }, { images: 1 }, { jsonBytes: 50 }])
      await expect(loadImages(services, path, { limits })).rejects.toMatchObject({
        code: 'archive.limit',
        details: { limit: Object.keys(limits)[0] },
      })
    await expect(loadImages(services, slow(whole), { limits: { totalBytes: 1000 } })).rejects.toMatchObject({
      code: 'archive.limit',
    })
    await expect(
      loadImages(services, slow(Buffer.concat([whole, Buffer.alloc(1e6)]), 1e5), { limits: { totalBytes: 9e5 } }),
    ).rejects.toMatchObject({ code: 'archive.limit' })
    expectNothing()
  })

  test('a layout directory with links to files of the host', async () => {
    for (const name of ['index.json', `blobs/sha256/${sha256(configOf(two))}`, 'blobs/sha256']) {
      const root = layoutDirectory(
        files.filter((item) => item.name !== name),
        `linked-${name.length}`,
      )
      if (name === 'blobs/sha256') {
        execFileSync('mv', [join(root, name), join(fixture.scratch, 'elsewhere')])
        symlinkSync(join(fixture.scratch, 'elsewhere'), join(root, name))
      } else {
        writeFileSync(join(fixture.scratch, 'secret'), files.find((item) => item.name === name)!.body!)
        symlinkSync(`${'../'.repeat(name.split('/').length)}secret`, join(root, name))
      }
      await expect(loadImages(services, root)).rejects.toMatchObject({ code: 'archive.unsafe_path' })
    }
    expectNothing()
  })

  test('options that are none', async () => {
    const load = (options: object) => loadImages(services, slow(whole), options)
    await expect(load({ plattform: 'x' })).rejects.toMatchObject({
      code: 'call.unknown_option',
      details: { key: 'plattform' },
    })
    await expect(load({ limits: { entrys: 1 } })).rejects.toMatchObject({ code: 'call.unknown_option' })
    await expect(load({ limits: { entries: 'many' } })).rejects.toMatchObject({ code: 'call.bad_option' })
    await expect(load({ repository: 7 })).rejects.toMatchObject({ code: 'call.bad_option' })
    expectNothing()
  })

  test('paths that are none', async () => {
    await expect(loadImages(services, join(fixture.scratch, 'nowhere'))).rejects.toMatchObject({
      code: 'archive.not_found',
    })
    await expect(loadImages(services, fixture.scratch)).rejects.toMatchObject({ code: 'archive.not_an_archive' })
    const text = Readable.from([whole.toString('latin1')])
    await expect(loadImages(services, text)).rejects.toMatchObject({ code: 'archive.unreadable' })
  })

  test('sources that are none, or no more', async () => {
    const locked = new ReadableStream<Uint8Array>()
    locked.getReader()
    const read = Readable.from([whole])
    for await (const _chunk of read);
    for (const source of [null, undefined, 5, {}, whole, locked, read])
      await expect(loadImages(services, source as never)).rejects.toMatchObject({
        code: 'call.bad_option',
        details: { key: 'source' },
      })
    const late = new Readable({ read: () => setTimeout(() => late.destroy(), 20) })
    await expect(loadImages(services, late)).rejects.toMatchObject({ code: 'archive.unreadable' })
    expectNothing()
  })

  test('a source that fails passes its reason on', async () => {
    const failing = async function* () {
      yield whole.subarray(0, 5000)
      throw new Error('cable cut')
    }
    await expect(loadImages(services, failing())).rejects.toThrow('cable cut')
    const compressed = async function* () {
      yield gzipSync(whole).subarray(0, 3000)
      throw new Error('cable cut')
    }
    await expect(loadImages(services, compressed())).rejects.toThrow('cable cut')
    expectNothing()
  })
})

describe('abort', () => {
  test('at every event, from a file and from a stream', async () => {
    const archive = archives['OCI archive, gzip layers']
    for (const source of [() => file(archive), () => slow(archive, 20_000)])
      for (let stop = 0; ; stop++) {
        const operation = loadImages(services, source())
        let seen = 0
        try {
          for await (const _event of operation) if (seen++ === stop) operation.abort('enough')
          await operation
        } catch (error) {
          expect(error).toMatchObject({ kind: 'aborted' })
          expectNothing()
          continue
        }
        // The last one finished before it could be aborted.
        expect(fixture.images.list()).toHaveLength(3)
        for (const image of fixture.images.list()) fixture.images.remove(image.id, { force: true })
        await fixture.content.collectGarbage()
        unpacker.chains.clear()
        break
      }
  })

  test('of a stream that stalls', async () => {
    const stalled = async function* () {
      yield archives['old docker save'].subarray(0, 100_000)
      await new Promise(() => {})
    }
    const call = loadImages(services, stalled(), { signal: AbortSignal.timeout(30) })
    await expect(call).rejects.toMatchObject({ kind: 'aborted' })
    expectNothing()
  })

  test('ends a stream that stalls, a web stream too', async () => {
    const stalled = new Readable({ read() {} })
    const cancelled = Promise.withResolvers<void>()
    const web = new ReadableStream<Uint8Array>({ cancel: () => cancelled.resolve() })
    for (const source of [stalled, web])
      await expect(loadImages(services, source, { signal: AbortSignal.timeout(30) })).rejects.toMatchObject({
        kind: 'aborted',
      })
    expect(stalled.destroyed).toBe(true)
    await cancelled.promise
    expectNothing()
  })

  test('of named pipes that nobody writes to leaves the threads of the pool free', async () => {
    const pipes = Array.from({ length: 4 }, (_, nth) => join(fixture.scratch, `fifo-${nth}`))
    for (const pipe of pipes) {
      makeFifo(pipe)
      const call = loadImages(services, pipe, { signal: AbortSignal.timeout(30) })
      await expect(call).rejects.toMatchObject({ kind: 'aborted' })
    }
    expect(await Promise.race([readFile('/dev/null'), sleep(5000, 'no thread is free')])).toHaveLength(0)
    expectNothing()
    // Threads that wait for them would keep this process from its end.
    for (const pipe of pipes) closeSync(openFifo(pipe, 'both'))
  })
})

test('records are durable and events told', async () => {
  await loadImages(services, file(archives['old docker save']))
  await using other = fixture.reopen()
  expect(other.images.resolve('one').layers).toHaveLength(2)
  const actions: string[] = []
  for await (const event of fixture.journal.read({ follow: false })) actions.push(event.action)
  expect(actions.filter((action) => action === 'load')).toHaveLength(3)
  expect(actions.filter((action) => action === 'tag')).toHaveLength(3)
  expect(readFileSync(join(fixture.root, 'content/index.json'), 'utf8')).toContain('manifests')
})
