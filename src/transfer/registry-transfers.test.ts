import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { request as ask } from 'node:http'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { digestOf } from '../oci/digest.ts'
import { mediaTypes } from '../oci/media-types.ts'
import { parseReference } from '../reference/reference.ts'
import { DockerConfigCredentials } from '../registry/docker-config.ts'
import { FaultyProxy } from '../registry/faulty-proxy-fixture.ts'
import { RegistryClient } from '../registry/registry-client.ts'
import { type RegistryServer, startRegistry } from '../registry/registry-fixture.ts'
import { parseRegistriesOptions, type RegistriesOptions } from '../registry/registry-options.ts'
import { sendBlob } from '../registry/send-blob.ts'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { CountingUnpacker } from '../testing/system/counting-unpacker.ts'
import { configOf, type FixtureImage, tarOf } from '../testing/system/image-fixture.ts'
import { pullImage } from './pull-image.ts'
import { pushImage } from './push-image.ts'
import type { TransferServices } from './transfer-services.ts'

let server: RegistryServer
let image: { readonly layers: readonly Buffer[]; readonly manifest: string; readonly config: string }
let fixture: ContentFixture
let services: TransferServices

const clients: RegistryClient[] = []
const clientOf = (config: RegistriesOptions = {}) => {
  const docker = new DockerConfigCredentials(null, {}, () => Promise.reject(new Error('no helper is to be run')))
  const client = new RegistryClient({
    config: parseRegistriesOptions({ attempts: 3, ...config }),
    docker,
    offline: false,
  })
  clients.push(client)
  return client
}

beforeAll(async () => {
  server = await startRegistry()
  image = await publish(await layersOf('a', 'b', 'c'), 'app', 'v1')
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  fixture = contentFixture()
  services = { ...fixture, unpacker: new CountingUnpacker(), diagnostics: () => {} }
})
afterEach(async () => {
  for (const client of clients.splice(0)) client[Symbol.dispose]()
  await fixture[Symbol.asyncDispose]()
})

const layersOf = (...names: string[]) =>
  Promise.all(
    names.map((name) =>
      tarOf([
        { name, body: randomBytes(700_000) },
        { name: `${name}2`, body: name },
      ]),
    ),
  )

/** Pushes an image with gzip layers. */
async function publish(layers: readonly Buffer[], path: string, tag: string, facts: Partial<FixtureImage> = {}) {
  using client = clientOf()
  const repository = client.repositories(parseReference(`${server.host}/${path}`), 'push').at(-1)!
  const config = configOf({ layers, tags: [], ...facts })
  const packed = layers.map((layer) => gzipSync(layer, { level: 1 }))
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length })
  for (const bytes of [config, ...packed]) {
    const { digest, size } = describe('', bytes)
    const open = () => Readable.from([bytes], { objectMode: false })
    await sendBlob(repository, { digest, size, open }, {})
  }
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: describe(mediaTypes.ociConfig, config),
      layers: packed.map((bytes) => describe(mediaTypes.ociLayerGzip, bytes)),
    }),
  )
  await repository.putManifest(tag, { bytes: manifest, mediaType: mediaTypes.ociManifest })
  return { layers: packed, manifest: digestOf(manifest), config: digestOf(config), size: manifest.length }
}

const stored = () => fixture.files()

describe('pull', () => {
  test('brings every blob and the name; a second time nothing but the manifest', async () => {
    const client = clientOf()
    const events: string[] = []
    const pulling = pullImage(services, () => client, `${server.host}/app:v1`)
    for await (const event of pulling) if (event.type === 'item-done') events.push(`${event.item} ${event.reused}`)
    const pulled = await pulling
    expect(pulled.id).toBe(image.config)
    expect(pulled.manifest.digest).toBe(image.manifest)
    expect(pulled.names).toEqual([`${server.host}/app:v1`, `${server.host}/app@${image.manifest}`])
    expect(stored().blobs.length).toBe(5)
    expect(stored().ingest).toEqual([])
    for (const layer of image.layers) expect(events).toContain(`${digestOf(layer)} false`)

    const again: string[] = []
    const second = pullImage(services, () => client, `${server.host}/app:v1`)
    for await (const event of second) if (event.type === 'item-done') again.push(`${event.item} ${event.reused}`)
    expect((await second).id).toBe(pulled.id)
    expect(again.filter((line) => line.endsWith('false'))).toEqual([])
  })

  test.each(['always', 'missing'] as const)('policy %s: who pulls an image says how long it stays', async (policy) => {
    const client = clientOf()
    const pull = (lifetime?: 'process' | 'kept', purpose?: 'run') =>
      pullImage(services, () => client, `${server.host}/app:v1`, { policy, lifetime }, purpose)
    const { id } = await pull('process')
    expect(fixture.images.lifetimeOf(id)).toBe('process')
    await pull('kept', 'run')
    expect(fixture.images.lifetimeOf(id)).toBe('process')
    await pull()
    expect(fixture.images.lifetimeOf(id)).toBe('kept')
    await pull('process')
    expect(fixture.images.lifetimeOf(id)).toBe('kept')
  })

  test('by digest; policies; platforms', async () => {
    const client = clientOf()
    const byDigest = await pullImage(services, () => client, `${server.host}/app@${image.manifest}`)
    expect(byDigest.id).toBe(image.config)
    expect(byDigest.names).toEqual([`${server.host}/app@${image.manifest}`])
    const both = await pullImage(services, () => client, `${server.host}/app:v1@${image.manifest}`)
    expect(both.names).toEqual(byDigest.names)
    await expect(pullImage(services, () => client, 'nowhere.example/x', { policy: 'never' })).rejects.toMatchObject({
      code: 'image.not_found',
    })
    await pullImage(services, () => client, `${server.host}/app:v1`)
    const offline = clientOf({ hosts: { [server.host]: { blocked: true } } })
    expect((await pullImage(services, () => offline, `${server.host}/app:v1`, { policy: 'missing' })).id).toBe(
      image.config,
    )
    await expect(pullImage(services, () => offline, `${server.host}/app:v1`)).rejects.toMatchObject({
      code: 'registry.blocked',
    })
  })

  test('an index: the entry for the platform, or what there is', async () => {
    const client = clientOf()
    const layers = await layersOf('x')
    const arm = await publish(layers, 'multi', 'arm', { architecture: 'arm64' })
    const amd = await publish(layers, 'multi', 'amd', { architecture: 'amd64' })
    const entry = ({ manifest, size }: { manifest: string; size: number }, architecture: string) => ({
      mediaType: mediaTypes.ociManifest,
      digest: manifest,
      size,
      platform: { os: 'linux', architecture },
    })
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests: [entry(arm, 'arm64'), entry(amd, 'amd64')],
      }),
    )
    const repository = client.repositories(parseReference(`${server.host}/multi`), 'push').at(-1)!
    await repository.putManifest('latest', { bytes, mediaType: mediaTypes.ociIndex })
    const get = (platform: string) => pullImage(services, () => client, `${server.host}/multi`, { platform })
    expect((await get('linux/arm64')).id).toBe(arm.config)
    expect((await get('linux/amd64')).id).toBe(amd.config)
    // The name and the index mean what came last; both images are known by their manifests.
    const name = `${server.host}/multi`
    const index = `${name}@${digestOf(bytes)}`
    expect(fixture.images.resolve(name).names).toEqual(
      [`${name}:latest`, ...[index, `${name}@${amd.manifest}`].sort()].sort(),
    )
    expect(fixture.images.resolve(index).id).toBe(amd.config)
    expect(fixture.images.resolve(`${name}:latest@${digestOf(bytes)}`).id).toBe(amd.config)
    expect(fixture.images.resolve(`${name}@${arm.manifest}`).id).toBe(arm.config)
    expect(fixture.images.listed().map(({ id, dangling }) => [id, dangling])).toEqual(
      expect.arrayContaining([
        [arm.config, true],
        [amd.config, false],
      ]),
    )
    await expect(get('linux/riscv64')).rejects.toMatchObject({
      code: 'image.no_platform',
      details: { available: ['linux/arm64', 'linux/amd64'] },
    })
  })
})

describe('faults', () => {
  test('a connection that breaks in each blob: it goes on where it stopped', async () => {
    await using proxy = await FaultyProxy.start(server.host)
    proxy.cutAfter = 150_000
    const client = clientOf()
    await pullImage(services, () => client, `${proxy.host}/app:v1`)
    // Each layer takes several attempts, and every byte is sent about once.
    expect(proxy.cuts).toBeGreaterThan(9)
    const bytes = image.layers.reduce((sum, layer) => sum + layer.length, 0)
    expect(proxy.sent).toBeLessThan(bytes * 1.5)
    expect(stored().ingest).toEqual([])
  })

  test('what was aborted is gone on with by the next pull, of another process too', async () => {
    await using proxy = await FaultyProxy.start(server.host)
    proxy.stallAfter = 300_000
    const controller = new AbortController()
    const pulling = pullImage(services, () => clientOf(), `${proxy.host}/app:v1`, { signal: controller.signal })
    setTimeout(() => controller.abort(), 500)
    await expect(pulling).rejects.toMatchObject({ name: 'AbortError' })
    expect(fixture.images.list()).toEqual([])
    expect(stored().ingest.length).toBeGreaterThan(0)
    proxy.stallAfter = null
    proxy.sent = 0
    await using other = fixture.reopen()
    const again = { ...other, unpacker: new CountingUnpacker(), diagnostics: () => {} }
    await pullImage(again, () => clientOf(), `${proxy.host}/app:v1`)
    expect(proxy.sent).toBeLessThan(image.layers.reduce((sum, layer) => sum + layer.length, 0) - 500_000)
  })

  test('other bytes than the digest says', async () => {
    await using proxy = await FaultyProxy.start(server.host)
    proxy.corrupt = true
    await expect(pullImage(services, () => clientOf(), `${proxy.host}/app:v1`)).rejects.toMatchObject({
      kind: 'data_loss',
    })
    expect(fixture.images.list()).toEqual([])
  })

  test('errors that pass are tried again; those that stay are told', async () => {
    await using proxy = await FaultyProxy.start(server.host)
    proxy.answers.push(503, 429, 500)
    await pullImage(services, () => clientOf({ attempts: 5 }), `${proxy.host}/app:v1`)
    proxy.answers.push(...Array<number>(20).fill(503))
    await expect(pullImage(services, () => clientOf(), `${proxy.host}/app:v1`)).rejects.toMatchObject({
      code: 'registry.server_error',
      details: { status: 503 },
    })
  })

  test('a registry that sends nothing any more', async () => {
    await using proxy = await FaultyProxy.start(server.host)
    proxy.stallAfter = 0
    const client = clientOf({ stallMs: 200, attempts: 1 })
    await expect(pullImage(services, () => client, `${proxy.host}/app:v1`)).rejects.toMatchObject({
      code: 'registry.stalled',
    })
  })

  test('a mirror that is down, or lacks the image, or the registry itself', async () => {
    await using proxy = await FaultyProxy.start(server.host)
    const texts: string[] = []
    const mirrors = ['http://127.0.0.1:1', `http://${proxy.host}`]
    const client = clientOf({ attempts: 1, hosts: { 'registry.example': { mirrors, location: 'http://127.0.0.1:1' } } })
    const pulling = pullImage(services, () => client, 'registry.example/app:v1')
    for await (const event of pulling) if (event.type === 'message') texts.push(event.text)
    expect((await pulling).names).toEqual(['registry.example/app:v1', `registry.example/app@${image.manifest}`])
    expect(texts.length).toBe(1)
    expect(texts[0]).toContain('127.0.0.1:1')
    await expect(pullImage(services, () => client, 'registry.example/none')).rejects.toMatchObject({
      code: 'registry.unreachable',
    })
  })
})

describe('push', () => {
  const skopeo = (...args: string[]) => execFileSync('skopeo', ['--insecure-policy', ...args], { encoding: 'utf8' })
  const done = async (pushing: ReturnType<typeof pushImage>) => {
    const items: string[] = []
    for await (const event of pushing) if (event.type === 'item-done') items.push(`${event.reused}`)
    return { ...(await pushing), items: items.sort() }
  }

  test('every digest is kept; what is there is not sent; other repositories lend their blobs', async () => {
    const client = clientOf()
    const pulled = await pullImage(services, () => client, `${server.host}/app:v1`)
    const result = await done(pushImage(services, client, pulled, `${server.host}/copy:v2`))
    expect(result).toMatchObject({
      name: `${server.host}/copy:v2`,
      digest: image.manifest,
      items: Array(4).fill('true'),
    })
    const seen = JSON.parse(skopeo('inspect', '--tls-verify=false', `docker://${server.host}/copy:v2`))
    expect(seen).toMatchObject({ Digest: image.manifest, Layers: image.layers.map((layer) => digestOf(layer)) })

    await using other = await startRegistry()
    const sent = await done(pushImage(services, client, pulled, `${other.host}/team/app`))
    expect(sent).toMatchObject({ name: `${other.host}/team/app:latest`, items: Array(4).fill('false') })
    expect((await done(pushImage(services, client, pulled, `${other.host}/team/app:again`))).items).toEqual(
      Array(4).fill('true'),
    )
    await using empty = contentFixture()
    const back = { ...empty, unpacker: new CountingUnpacker(), diagnostics: () => {} }
    expect((await pullImage(back, () => client, `${other.host}/team/app:again`)).id).toBe(image.config)
  })

  test('a digest is no name to push to; failures are told and leave no tag', async () => {
    const client = clientOf()
    const pulled = await pullImage(services, () => client, `${server.host}/app:v1`)
    await expect(pushImage(services, client, pulled, `${server.host}/x@${image.manifest}`)).rejects.toMatchObject({
      code: 'registry.refused_request',
    })
    await using proxy = await FaultyProxy.start(server.host)
    proxy.answers.push(...Array<number>(40).fill(500))
    await expect(pushImage(services, clientOf(), pulled, `${proxy.host}/never:x`)).rejects.toMatchObject({
      code: 'registry.server_error',
    })
    proxy.answers.length = 0
    await expect(pullImage(services, () => client, `${server.host}/never:x`)).rejects.toMatchObject({
      code: 'registry.not_found',
    })
    proxy.answers.push(502, 503)
    await pushImage(services, clientOf({ attempts: 5 }), pulled, `${proxy.host}/at-last:x`)
  })
})

test('requests of the fixture itself go through', async () => {
  await using proxy = await FaultyProxy.start(server.host)
  const status = await new Promise((resolve, reject) =>
    ask(`http://${proxy.host}/v2/`, (r) => resolve(r.statusCode))
      .on('error', reject)
      .end(),
  )
  expect(status).toBe(200)
})
