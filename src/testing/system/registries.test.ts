import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Engine, RunOptions } from '../../index.ts'
import { digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { makeCertificate, type RegistryServer, startRegistry } from '../../registry/registry-fixture.ts'
import { FaultyRegistry, newSince, readHostTables } from '../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'
import { tarOf } from './image-fixture.ts'
import { busyboxLayer } from './published-image.ts'

let root: BusyboxRoot

beforeAll(async () => {
  root = await busyboxRoot()
})
afterAll(() => root[Symbol.asyncDispose]())

const registries = { dockerConfig: null, attempts: 2, stallMs: 2_000 } as const

const namesOf = async (engine: Engine) => {
  const names: string[] = []
  for await (const image of engine.images.list()) names.push(...(await image.inspect()).names)
  return names.sort()
}

describe('layers that are bombs or traps', () => {
  const packed = (bytes: Buffer) => ({ mediaType: mediaTypes.ociLayerGzip, bytes })

  // A thousandth of what gzip can do is a few kilobytes for zstd.
  const zeros = Buffer.alloc(256 << 20)
  const bomb = { mediaType: mediaTypes.ociLayerZstd, bytes: zstdCompressSync(zeros) }

  test.each([
    ['256 MiB of nothing in a few kilobytes', bomb, digestOf(zeros), 'layer.limit_exceeded'],
    [
      'another tar than the configuration says',
      packed(gzipSync(Buffer.alloc(10_240))),
      digestOf('x'),
      'layer.diff_id_mismatch',
    ],
    ['a stream that ends too early', packed(gzipSync(Buffer.alloc(1 << 20)).subarray(0, 500)), digestOf('x'), 'layer.'],
    ['bytes that are no gzip', packed(Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3])), digestOf('x'), 'layer.'],
  ])('%s', async (_, layer, diffId, code) => {
    await using registry = await FaultyRegistry.start()
    registry.addImage('bomb:v1', {
      packed: [layer],
      config: { rootfs: { type: 'layers', diff_ids: [diffId] } },
    })
    await using engine = await root.open({ registries })
    const before = await readHostTables({ parts: ['mounts'] })
    await expect(engine.images.pull(`${registry.host}/bomb:v1`)).rejects.toMatchObject({
      code: expect.stringContaining(code),
    })
    expect(await namesOf(engine)).toEqual([imageName])
    await engine.gc()
    expect((await engine.check()).problems).toEqual([])
    // Other programs of the machine mount as well.
    const mounts = newSince(before, await readHostTables({ parts: ['mounts'] }))
    expect(mounts.filter((line) => line.includes(`${root.root}/`))).toEqual([])
  })

  test('a tar whose file is larger than everything', async () => {
    const header = Buffer.alloc(512)
    header.write('huge\0', 0)
    header.write('0000644\0', 100)
    header.write('77777777777\0', 124)
    header.write('00000000000\0', 136)
    header.write('        ', 148)
    header.write('0', 156)
    header.write('ustar\x0000', 257)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    const tar = Buffer.concat([header, Buffer.alloc(1 << 20)])
    await using registry = await FaultyRegistry.start()
    registry.addImage('huge:v1', { layers: [tar] })
    await using engine = await root.open({ registries })
    await expect(engine.images.pull(`${registry.host}/huge:v1`)).rejects.toMatchObject({
      code: expect.stringMatching(/^layer\./),
    })
    expect(await namesOf(engine)).toEqual([imageName])
  })
})

test('a root file system and an archive from a URL', async () => {
  await using registry = await FaultyRegistry.start()
  const tar = gzipSync(await tarOf([{ name: 'note', body: 'from afar' }]))
  const archive = readFileSync(root.tarball)
  for (const bytes of [tar, archive]) registry.repository('files').blobs.set(digestOf(bytes), bytes)
  const url = (bytes: Buffer) => `http://${registry.host}/v2/files/blobs/${digestOf(bytes)}`
  await using engine = await root.open({ registries })
  registry.fault({ kind: 'cut', after: 100, times: 1 })
  const imported = await engine.images.importRootfs(url(tar), { reference: 'afar:1' })
  expect((await imported.inspect()).layers.length).toBe(1)
  expect((await imported.history())[0]).toMatchObject({ comment: `Imported from ${registry.host}` })
  await imported.remove()
  registry.fault({ kind: 'reset', after: 300_000, times: 1 })
  const [loaded] = await engine.images.load(url(archive))
  expect(loaded?.id).toBe((await engine.images.get(imageName)).id)
  await expect(engine.images.importRootfs(`http://${registry.host}/nothing`)).rejects.toMatchObject({
    code: 'download.not_found',
  })
  await expect(engine.images.load('ftp://x.example/y.tar')).rejects.toMatchObject({ code: 'download.bad_url' })
  await using offline = await root.open({ offline: true })
  await expect(offline.images.load(url(archive))).rejects.toMatchObject({ code: 'registry.offline' })
  expect(await namesOf(engine)).toEqual([imageName])
})

describe('beside other programs', () => {
  let server: RegistryServer
  beforeAll(async () => {
    server = await startRegistry({ users: { me: 'secret' }, tls: true })
  })
  afterAll(() => server[Symbol.asyncDispose]())

  const config = () => ({
    ...registries,
    dockerConfig: join(root.directory, 'config.json'),
    hosts: { [server.host]: { insecure: false, ca: server.ca! } },
  })
  const skopeo = (...args: string[]) => execFileSync('skopeo', ['--insecure-policy', ...args], { encoding: 'utf8' })

  test('login; what is pushed is what skopeo sees, and what skopeo pushes is what is pulled', async () => {
    await using engine = await root.open({ registries: config() })
    await expect(engine.images.pull(`${server.host}/team/app:1`)).rejects.toMatchObject({
      code: 'registry.unauthorized',
    })
    await expect(engine.registries.login(server.host, { username: 'me', password: 'wrong' })).rejects.toMatchObject({
      code: 'registry.unauthorized',
    })
    await engine.registries.login(server.host, { username: 'me', password: 'secret' })
    expect(await engine.registries.user(server.host)).toBe('me')
    expect((await engine.info()).registries).toEqual([{ registry: server.host, user: 'me', helper: null }])

    const image = await engine.images.get(imageName)
    const pushed = await image.push(`${server.host}/team/app:1`)
    const remote = `docker://${server.host}/team/app`
    const login = ['--creds', 'me:secret', '--tls-verify=false']
    expect(JSON.parse(skopeo('inspect', ...login, `${remote}:1`))).toMatchObject({ Digest: pushed.digest })
    skopeo(
      'copy',
      '--src-creds',
      'me:secret',
      '--dest-creds',
      'me:secret',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      `${remote}:1`,
      `${remote}:2`,
    )
    expect((await Array.fromAsync(engine.images.tags(`${server.host}/team/app`))).sort()).toEqual(['1', '2'])
    expect((await engine.images.pull(`${server.host}/team/app:2`)).id).toBe(image.id)
    expect(await Array.fromAsync(engine.images.search('app', { registry: server.host }))).toMatchObject([
      { name: `${server.host}/team/app` },
    ])
    await engine.images.untag(`${server.host}/team/app:2`)

    // The login is one for skopeo too, and its own are ours.
    const authFile = ['--authfile', join(root.directory, 'config.json'), '--tls-verify=false']
    expect(skopeo('list-tags', ...authFile, remote)).toContain('"2"')
    expect(await engine.registries.logout(server.host)).toBe(true)
    execFileSync('skopeo', ['login', ...authFile, '-u', 'me', '-p', 'secret', server.host], { stdio: 'pipe' })
    expect(await engine.registries.user(server.host)).toBe('me')
    expect((await Array.fromAsync(engine.images.tags(`${server.host}/team/app`))).sort()).toEqual(['1', '2'])
  })

  test('podman runs what is pushed, and what it pushes comes back', async () => {
    await using plain = await startRegistry()
    await using engine = await root.open({ registries })
    const image = await engine.images.get(imageName)
    const { digest } = await image.push(`${plain.host}/box:1`)
    const place = ['--root', join(root.directory, 'podman'), '--runroot', join(root.directory, 'podman-run')]
    const podman = (...args: string[]) =>
      execFileSync('podman', ['--storage-driver', 'vfs', ...place, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      }).trim()
    podman('pull', '-q', '--tls-verify=false', `${plain.host}/box:1`)
    expect(`sha256:${podman('images', '--no-trunc', '-q').replace('sha256:', '')}`).toBe(image.id)
    expect(podman('image', 'inspect', '--format', '{{.Digest}}', `${plain.host}/box:1`)).toBe(digest)
    podman('tag', `${plain.host}/box:1`, `${plain.host}/box:podman`)
    podman('push', '-q', '--tls-verify=false', `${plain.host}/box:podman`)
    expect((await engine.images.pull(`${plain.host}/box:podman`)).id).toBe(image.id)
    await engine.images.untag(`${plain.host}/box:podman`)
  })
})

test('a registry that wants a certificate of its clients', async () => {
  const directory = join(root.directory, 'certificates')
  execFileSync('mkdir', ['-p', directory])
  const { cert, key, ca } = makeCertificate(directory)
  const pem = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  await using registry = await FaultyRegistry.start({
    tls: { ...pem, ca, requestCert: true, rejectUnauthorized: true },
  })
  registry.addImage('app:v1', { layers: [await tarOf([{ name: 'x', body: 'y' }])] })
  const open = (host: object) =>
    root.open({ registries: { ...registries, hosts: { [registry.host]: { insecure: false, ...host } } } })
  await using known = await open({ ca, clientCertificate: pem })
  const image = await known.images.pull(`${registry.host}/app:v1`)
  await image.remove()
  await using unknown = await open({ ca })
  await expect(unknown.images.pull(`${registry.host}/app:v1`)).rejects.toMatchObject({ kind: 'unavailable' })
  await using untrusting = await open({})
  await expect(untrusting.images.pull(`${registry.host}/app:v1`)).rejects.toMatchObject({ code: 'registry.tls' })
})

test('an index of several platforms goes there, and each of them comes back beside the others', async () => {
  await using server = await startRegistry()
  await using source = await FaultyRegistry.start()
  const layers = [await tarOf([{ name: 'x', body: 'y' }])]
  for (const architecture of ['arm64', 'riscv64'])
    source.addImage(`app:${architecture}`, { layers, platform: { os: 'linux', architecture } })
  await using engine = await root.open({ registries })
  const [arm, riscv] = [
    await engine.images.pull(`${source.host}/app:arm64`, { platform: 'linux/arm64' }),
    await engine.images.pull(`${source.host}/app:riscv64`, { platform: 'linux/riscv64' }),
  ]
  const name = `${server.host}/multi:1`
  const entries = [arm, { image: riscv, annotations: { note: 'slow' } }, { image: imageName, platform: 'linux/amd64' }]
  const { digest } = await engine.images.pushIndex(name, entries, { annotations: { all: 'three' } })
  const raw = execFileSync('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${name}`], {
    encoding: 'utf8',
  })
  expect(digestOf(raw)).toBe(digest)
  expect(JSON.parse(raw)).toMatchObject({
    mediaType: mediaTypes.ociIndex,
    annotations: { all: 'three' },
    manifests: [
      { platform: { os: 'linux', architecture: 'arm64' } },
      { platform: { architecture: 'riscv64' }, annotations: { note: 'slow' } },
      { platform: { architecture: 'amd64' } },
    ],
  })
  for (const image of [arm, riscv]) await image.remove({ force: true })
  const back = []
  for (const platform of ['linux/arm64', 'linux/riscv64']) back.push(await engine.images.pull(name, { platform }))
  expect(back.map(({ id }) => id)).toEqual([arm.id, riscv.id])
  expect((await engine.images.get(name)).id).toBe(riscv.id)
  // The tag has moved on; the other one is still known by its digest.
  const [first] = back
  expect((await first!.inspect()).repoDigests.length).toBeGreaterThan(0)
  await expect(engine.images.pushIndex(name, [riscv, { image: arm, platform: 'linux/riscv64' }])).rejects.toMatchObject(
    {
      code: 'call.bad_option',
    },
  )
  await expect(engine.images.pushIndex(name, [])).rejects.toMatchObject({ code: 'call.bad_option' })
  for (const image of back) await image.remove({ force: true })
})

test('run takes what is here first and pulls what is missing, by name and by digest; policies say otherwise', async () => {
  await using source = await FaultyRegistry.start()
  const layers = [await busyboxLayer()]
  const version = (exitCode: number) =>
    source.addImage('tool:1', { layers, config: { config: { Cmd: ['/bin/sh', '-c', `exit ${exitCode}`] } } })
  const first = version(1)
  await using engine = await root.open({ registries })
  const exitCodeOf = async (image: string, options?: RunOptions) => {
    await using container = await engine.containers.run({ image, networks: 'none' }, options)
    return (await container.wait()).exitCode
  }
  const name = `${source.host}/tool:1`
  await expect(exitCodeOf(name, { pull: 'never' })).rejects.toMatchObject({ code: 'image.not_found' })
  expect(source.requests).toEqual([])
  // What comes is told.
  const done: string[] = []
  const running = engine.containers.run({ image: name, networks: 'none' })
  for await (const event of running) if (event.type === 'item-done') done.push(event.item)
  expect(done).toEqual(expect.arrayContaining(first.layers.map(({ digest }) => digest)))
  await using container = await running
  expect((await container.wait()).exitCode).toBe(1)

  version(2)
  source.requests.length = 0
  expect(await exitCodeOf(name)).toBe(1)
  expect(await exitCodeOf(`${source.host}/tool@${first.manifest.digest}`)).toBe(1)
  expect(source.requests).toEqual([])
  expect(await exitCodeOf(name, { pull: 'always' })).toBe(2)

  // By digest from the registry, when nothing is here; a failed pull leaves no container.
  await container.remove()
  for await (const image of engine.images.list({ reference: `${source.host}/tool` }))
    await image.remove({ force: true })
  await (await engine.images.find(first.config.digest))?.remove({ force: true })
  expect(await exitCodeOf(`${source.host}/tool@${first.manifest.digest}`)).toBe(1)
  await expect(exitCodeOf(`${source.host}/none:1`)).rejects.toMatchObject({ code: 'registry.not_found' })
  expect(await Array.fromAsync(engine.containers.list())).toEqual([])
})

test('short names stand for others: pulled, found, run and removed by them', async () => {
  await using source = await FaultyRegistry.start()
  source.addImage('mirror/tool:2', { layers: [await tarOf([{ name: 'x', body: 'y' }])] })
  const shortNames = { tool: `${source.host}/mirror/tool` }
  await using engine = await root.open({ registries: { ...registries, shortNames } })
  const image = await engine.images.pull('tool:2')
  expect((await image.inspect()).names).toContain(`${source.host}/mirror/tool:2`)
  expect((await engine.images.get('tool:2')).id).toBe(image.id)
  expect((await engine.images.pull('tool:2', { policy: 'missing' })).id).toBe(image.id)
  expect(await Array.fromAsync(engine.images.tags('tool'))).toEqual(['2'])
  expect((await image.push('tool:3')).name).toBe(`${source.host}/mirror/tool:3`)
  const created = await engine.containers.create({ image: 'tool:2', command: ['/x'], networks: 'none' })
  await created.remove()
  // Who has an image of the very name is not made to pull.
  await (await engine.images.get(imageName)).tag('tool:4')
  expect((await engine.images.pull('tool:4', { policy: 'missing' })).id).toBe((await engine.images.get(imageName)).id)
  await engine.images.remove('tool:4')
  await engine.images.remove('tool:2', { force: true })
  expect(await engine.images.find('tool:2')).toBeNull()
  await expect(root.open({ registries: { shortNames: { tool: 'no-registry' } } })).rejects.toMatchObject({
    code: 'registry.bad_config',
  })
})
