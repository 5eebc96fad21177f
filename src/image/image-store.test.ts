import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Digest, digestOf } from '../oci/digest.ts'
import { mediaTypes } from '../oci/media-types.ts'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { choosePlatform, parsePlatform } from './choose-platform.ts'
import type { ImageRecord } from './image-record.ts'

let fixture: ContentFixture
beforeEach(() => {
  fixture = contentFixture()
})
afterEach(() => fixture[Symbol.asyncDispose]())

/** An image whose single layer is any bytes: records do not look into layers. */
async function make(seed: string, names: readonly string[], change: (manifest: object) => object = (m) => m) {
  const { content, images } = fixture
  return content.withLease(async (lease): Promise<ImageRecord> => {
    const put = async (value: unknown) => {
      const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
      const { digest, size } = await content.ingest([bytes], { lease })
      return { digest, size }
    }
    const layer = await put(`layer ${seed}`)
    const rootfs = { type: 'layers', diff_ids: [digestOf(`diff ${seed}`)] }
    const config = await put({ architecture: 'amd64', os: 'linux', config: { Env: [seed] }, rootfs })
    const manifest = await put(
      change({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: { mediaType: mediaTypes.ociConfig, ...config },
        layers: [{ mediaType: mediaTypes.ociLayer, ...layer }],
      }),
    )
    return images.create({ ...manifest, mediaType: mediaTypes.ociManifest }, { names, lease })
  })
}
const full = (name: string) => `docker.io/library/${name}`

describe('names and ids', () => {
  test('resolve', async () => {
    const a = await make('a', ['app', 'app:1', 'example.com/x/y:z'])
    const { images } = fixture
    for (const text of [
      'app',
      'app:latest',
      'app:1',
      'docker.io/library/app',
      'example.com/x/y:z',
      a.id,
      a.id.slice(7),
    ])
      expect(images.resolve(text).id).toBe(a.id)
    for (const text of [a.id.slice(7, 19), a.id.slice(0, 20), a.manifest.digest, a.manifest.digest.slice(7, 20)])
      expect(images.resolve(text).id).toBe(a.id)
    expect(images.resolve(`app@${a.manifest.digest}`).id).toBe(a.id)
    expect(images.find(`other@${a.manifest.digest}`)).toBe(null)
    expect(images.find('app:2')).toBe(null)
    expect(() => images.resolve('nothing')).toThrow(expect.objectContaining({ code: 'image.not_found' }))
    expect(() => images.resolve('No Name')).toThrow(expect.objectContaining({ code: 'reference.bad_name' }))
    expect(a.names).toEqual([full('app:1'), full('app:latest'), 'example.com/x/y:z'])
    expect((await a.config()).config?.Env).toEqual(['a'])
    expect(a.layers).toEqual([{ digest: digestOf('layer a'), diffId: digestOf('diff a'), size: 7 }])
  })

  test('ambiguous prefixes are told, names come before prefixes', async () => {
    const { images } = fixture
    const first = new Map<string, Digest>()
    for (let at = 0; ; at++) {
      const { id } = await make(`${at}`, [])
      const digit = id.slice(7, 8)
      const other = first.get(digit)
      if (!other) {
        first.set(digit, id)
        continue
      }
      expect(() => images.resolve(digit)).toThrow(
        expect.objectContaining({
          code: 'image.ambiguous',
          details: { candidates: expect.arrayContaining([id, other]) },
        }),
      )
      images.tag(images.resolve(id), digit)
      expect(images.resolve(digit).id).toBe(id)
      break
    }
  })

  test('a name moves and leaves the other image without one', async () => {
    const { images } = fixture
    const a = await make('a', ['app'])
    const b = await make('b', ['app'])
    expect(images.resolve('app').id).toBe(b.id)
    expect(images.resolve(a.id).names).toEqual([])
    images.tag(a, 'app')
    expect(images.resolve('app').id).toBe(a.id)
    expect(() => images.tag(a, `app@${a.manifest.digest}`)).toThrow(
      expect.objectContaining({ code: 'image.digest_name' }),
    )
    expect(() => images.tag(a, 'Bad')).toThrow(expect.objectContaining({ code: 'reference.bad_name' }))
    expect(images.untag('app')).toBe(true)
    expect(images.untag('app')).toBe(false)
    images.remove(a.id)
    expect(() => images.tag(a, 'again')).toThrow(expect.objectContaining({ code: 'image.not_found' }))
    expect(images.list().map((image) => image.id)).toEqual([b.id])
  })

  test('wrong manifests are refused and leave no record', async () => {
    const wrong: ((manifest: object) => object)[] = [
      (m) => ({ ...m, layers: [] }),
      (m) => ({ ...m, schemaVersion: 3 }),
      (m) => ({ ...m, layers: [{ digest: digestOf('not here'), size: 3 }] }),
      (m) => ({ ...m, config: 'x' }),
    ]
    for (const change of wrong)
      await expect(make('a', ['app'], change)).rejects.toMatchObject({ code: 'image.bad_manifest' })
    expect(fixture.images.list()).toEqual([])
    expect(fixture.state.db.all('SELECT * FROM image_names')).toEqual([])
  })
})

describe('removal, as docker rmi does it', () => {
  const stopped = { container: 'c'.repeat(64), running: false }
  const running = { container: 'd'.repeat(64), running: true }

  test('one name of several', async () => {
    const { images } = fixture
    await make('a', ['app:1', 'app:2'])
    fixture.users = [running]
    expect(images.remove('app:1')).toEqual({ untagged: [full('app:1')], deleted: [], items: [] })
    expect(images.resolve('app:2').names).toEqual([full('app:2')])
  })

  test('the last name takes the image along', async () => {
    const { images, content } = fixture
    const a = await make('a', ['app'])
    expect((await content.collectGarbage()).removed).toEqual([])
    expect(images.remove('app')).toMatchObject({ untagged: [full('app:latest')], deleted: [a.id] })
    expect(images.list()).toEqual([])
    expect((await content.collectGarbage()).removed).toHaveLength(3)
  })

  test.each([
    ['name, used', 'app', [stopped], false, 'image.in_use'],
    ['name, used, force', 'app', [stopped], true, { untagged: 1, deleted: 1 }],
    ['name, running', 'app', [running], false, 'image.in_use'],
    ['name, running, force', 'app', [running], true, { untagged: 1, deleted: 0 }],
    ['id, used', 'id', [stopped], false, 'image.in_use'],
    ['id, used, force', 'id', [stopped], true, { untagged: 1, deleted: 1 }],
    ['id, running, force', 'id', [running, stopped], true, 'image.in_use'],
    ['missing', 'other', [], true, 'image.not_found'],
  ])('%s', async (_case, target, users, force, outcome) => {
    const { images } = fixture
    const a = await make('a', ['app'])
    fixture.users = users
    const remove = () => images.remove(target === 'id' ? a.id : target, { force })
    if (typeof outcome === 'string') {
      expect(remove).toThrow(expect.objectContaining({ code: outcome }))
      expect(images.resolve('app').id).toBe(a.id)
    } else {
      const report = remove()
      expect({ untagged: report.untagged.length, deleted: report.deleted.length }).toEqual(outcome)
      expect(images.list()).toHaveLength(outcome.deleted === 0 ? 1 : 0)
    }
  })

  test('by id with several names', async () => {
    const { images } = fixture
    const a = await make('a', ['app:1', 'example.com/app:2'])
    expect(() => images.remove(a.id.slice(7, 19))).toThrow(expect.objectContaining({ code: 'image.several_names' }))
    expect(images.remove(a.id.slice(7, 19), { force: true }).untagged).toHaveLength(2)
    expect(images.list()).toEqual([])
  })

  test('a digest name goes with the last tag of its repository', async () => {
    const { images } = fixture
    const digest = digestOf('pulled')
    const a = await make('a', ['app:1', `app@${digest}`])
    expect(images.remove('app:1')).toMatchObject({ untagged: [full('app:1'), full(`app@${digest}`)], deleted: [a.id] })
  })
})

describe('platforms', () => {
  const entry = (platform: object | undefined, annotations = {}) => ({
    mediaType: mediaTypes.ociManifest,
    digest: digestOf(JSON.stringify([platform, annotations])),
    size: 1,
    annotations,
    ...(platform ? { platform: { os: 'linux', architecture: 'amd64', ...platform } } : {}),
  })

  test.each([
    ['amd64', [{ architecture: 'arm64' }, {}], 1],
    ['arm64', [{}, { architecture: 'arm64' }, { architecture: 'arm64', variant: 'v8' }], 1],
    [
      'linux/arm/v7',
      [
        { architecture: 'arm', variant: 'v5' },
        { architecture: 'arm', variant: 'v6' },
      ],
      1,
    ],
    [
      'linux/arm/v6',
      [
        { architecture: 'arm', variant: 'v7' },
        { architecture: 'arm', variant: 'v6' },
      ],
      1,
    ],
    ['linux/arm/v6', [{ architecture: 'arm', variant: 'v7' }], null],
    ['linux/amd64/v3', [{ variant: 'v2' }, { variant: 'v4' }, {}], 0],
    ['amd64', [{ variant: 'v3' }, {}], 1],
    ['windows/amd64', [{}, { os: 'windows' }], 1],
    ['amd64', [{ os: 'unknown', architecture: 'unknown' }], null],
    ['amd64', [undefined], 0],
    // Older variants run on newer machines, the newest of them best; newer ones do not.
    ['linux/arm', ['v5', 'v6', 'v7', 'v8'].map((variant) => ({ architecture: 'arm', variant })), 2],
    ['linux/arm/v8', ['v5', 'v7', 'v6'].map((variant) => ({ architecture: 'arm', variant })), 1],
    ['linux/arm/v5', ['v6', 'v7'].map((variant) => ({ architecture: 'arm', variant })), null],
    ['linux/arm/v7', [{ architecture: 'arm' }, { architecture: 'arm', variant: 'v6' }], 0],
    ['linux/arm/v6', [{ architecture: 'arm' }], null],
    ['linux/amd64/v4', [{}, { variant: 'v2' }, { variant: 'v3' }], 2],
    ['linux/amd64/v2', [{ variant: 'v3' }, { variant: 'v4' }], null],
    ['linux/amd64', [{ variant: 'v2' }], null],
    // Machines of arm64 may lack the mode of arm: never by default.
    ['linux/arm64', [{ architecture: 'arm', variant: 'v7' }], null],
    ['linux/arm64/v9', [{ architecture: 'arm64', variant: 'v8' }], 0],
    ['linux/arm64/v8', [{ architecture: 'arm64', variant: 'v9' }], null],
    ['aarch64', [{}, { architecture: 'arm64' }], 1],
    ['x86_64', [{ architecture: '386' }, {}], 1],
    ['i386', [{}, { architecture: '386' }], 1],
    ['linux/riscv64', [{ architecture: 'riscv64', variant: 'rva22' }], null],
    ['linux/riscv64/rva22', [{ architecture: 'riscv64' }], 0],
  ])('%s of %j', (wanted, platforms, expected) => {
    const manifests = platforms.map((platform) => entry(platform))
    const choose = () => choosePlatform(manifests, parsePlatform(wanted))
    if (expected === null) expect(choose).toThrow(expect.objectContaining({ code: 'image.no_platform' }))
    else expect(choose()).toBe(manifests[expected])
  })

  test('attestations are never images', () => {
    const attestation = entry({}, { 'vnd.docker.reference.type': 'attestation-manifest' })
    expect(() => choosePlatform([attestation], parsePlatform('amd64'))).toThrow()
  })
})
