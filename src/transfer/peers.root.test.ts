import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { CountingUnpacker } from '../testing/system/counting-unpacker.ts'
import { oldDockerArchive, tarOf } from '../testing/system/image-fixture.ts'
import { loadImages } from './load-images.ts'
import { saveImages } from './save-images.ts'
import type { TransferServices } from './transfer-services.ts'

// The other tools' archives are ours to read, and ours are theirs.

let fixture: ContentFixture
let services: TransferServices
beforeEach(() => {
  fixture = contentFixture()
  services = { ...fixture, unpacker: new CountingUnpacker(), diagnostics: () => {} }
})
afterEach(() => fixture[Symbol.asyncDispose]())

const at = (...parts: string[]) => join(fixture.scratch, ...parts)
const run = (file: string, ...args: string[]) =>
  execFileSync(file, args, { cwd: fixture.scratch, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const skopeo = (...args: string[]) => run('skopeo', '--insecure-policy', ...args)
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'))

/** An OCI layout made by umoci from this machine's busybox: two gzip layers, tag v1. */
function busyboxLayout(): string {
  run('umoci', 'init', '--layout', 'made')
  run('umoci', 'new', '--image', 'made:v1')
  run('umoci', 'unpack', '--image', 'made:v1', 'bundle')
  mkdirSync(at('bundle/rootfs/bin'))
  copyFileSync('/bin/busybox', at('bundle/rootfs/bin/busybox'))
  run('ln', '-s', 'busybox', 'bundle/rootfs/bin/sh')
  run('umoci', 'repack', '--refresh-bundle', '--image', 'made:v1', 'bundle')
  run('mkdir', 'bundle/rootfs/etc')
  run('cp', '/etc/passwd', 'bundle/rootfs/etc/passwd')
  run('umoci', 'repack', '--image', 'made:v1', 'bundle')
  run('umoci', 'config', '--image', 'made:v1', '--config.cmd', '/bin/sh', '--config.env', 'PATH=/bin')
  return at('made')
}
const made = () => {
  const [{ digest }] = json(at('made/index.json')).manifests
  const manifest = json(at('made/blobs/sha256', digest.slice(7)))
  return {
    digest,
    id: manifest.config.digest,
    layers: manifest.layers.map((layer: { digest: string }) => layer.digest),
  }
}

describe('load', () => {
  beforeEach(() => {
    busyboxLayout()
  })

  test('a layout of umoci', async () => {
    const [image] = await loadImages(services, at('made'), { repository: 'busybox' })
    expect(image!.names).toEqual(['docker.io/library/busybox:v1'])
    expect(image!.manifest.digest).toBe(made().digest)
    expect(image!.id).toBe(made().id)
    expect(image!.layers.map((layer) => layer.digest)).toEqual(made().layers)
    expect((await image!.config()).config).toMatchObject({ Cmd: ['/bin/sh'], Env: ['PATH=/bin'] })
  })

  test.each(['gzip', 'zstd'])('an OCI archive of skopeo with %s layers', async (compression) => {
    skopeo('copy', '--dest-compress-format', compression, 'oci:made:v1', 'oci-archive:archive.tar:app:v2')
    const [image] = await loadImages(services, at('archive.tar'))
    expect(image!.names).toEqual(['docker.io/library/app:v2'])
    expect(image!.layers).toHaveLength(2)
  })

  test('a docker-archive of skopeo, which has links to its layers', async () => {
    skopeo('copy', 'oci:made:v1', 'docker-archive:archive.tar:app:v3')
    expect(run('tar', '-tvf', 'archive.tar')).toContain('layer.tar -> ')
    for (const source of [at('archive.tar'), (await import('node:fs')).createReadStream(at('archive.tar'))]) {
      const [image] = await loadImages(services, source)
      expect(image!.names).toEqual(['docker.io/library/app:v3'])
      expect(image!.layers).toHaveLength(2)
      // Plain layers stay as they were.
      expect(image!.layers.map((layer) => layer.digest)).toEqual(image!.layers.map((layer) => layer.diffId))
    }
  })
})

describe('save', () => {
  test('what skopeo reads as a docker-archive', async () => {
    busyboxLayout()
    const [image] = await loadImages(services, at('made'), { repository: 'busybox' })
    await saveImages(services, [image!], at('saved.tar'))
    skopeo('copy', 'docker-archive:saved.tar:busybox:v1', 'dir:read')
    expect(json(at('read/manifest.json')).config.digest).toBe(image!.id)
    skopeo('copy', 'docker-archive:saved.tar:busybox:v1', 'oci:again:v1')
    run('umoci', 'unpack', '--image', 'again:v1', 'unpacked')
    expect(readFileSync(at('unpacked/rootfs/bin/busybox')).equals(readFileSync('/bin/busybox'))).toBe(true)
  })

  test('what skopeo reads as an OCI archive, digests unchanged', async () => {
    busyboxLayout()
    const [image] = await loadImages(services, at('made'), { repository: 'busybox' })
    for (const format of ['oci-archive', 'docker-archive'] as const) {
      await saveImages(services, [image!], at('saved.tar'), { format })
      skopeo('copy', '--preserve-digests', 'oci-archive:saved.tar:v1', `oci:read-${format}:v1`)
      expect(json(at(`read-${format}/index.json`)).manifests[0].digest).toBe(made().digest)
    }
  })

  test('what skopeo reads with layers packed on the way', async () => {
    busyboxLayout()
    const [image] = await loadImages(services, at('made'), { repository: 'busybox' })
    await saveImages(services, [image!], at('saved.tar'), { format: 'oci-archive', compression: 'zstd' })
    const [{ mediaType }] = JSON.parse(skopeo('inspect', '--raw', 'oci-archive:saved.tar:v1')).layers
    expect(mediaType).toBe('application/vnd.oci.image.layer.v1.tar+zstd')
    skopeo('copy', '--preserve-digests', 'oci-archive:saved.tar:v1', 'dir:read-zstd')
    expect(json(at('read-zstd/manifest.json')).config.digest).toBe(image!.id)
    // What skopeo unpacks and packs with gzip is the same image.
    skopeo('copy', '--dest-compress-format', 'gzip', '--dest-compress', 'oci-archive:saved.tar:v1', 'oci:as-gzip:v1')
    const [back] = await loadImages(services, at('as-gzip'))
    expect(back!.id).toBe(image!.id)
  })

  test('what umoci reads as a layout', async () => {
    const layer = await tarOf([{ name: 'hello', body: 'world' }])
    const [image] = await loadImages(
      services,
      oneChunk(await oldDockerArchive([{ layers: [layer], tags: ['app:v1'] }])),
    )
    await saveImages(services, [image!], at('saved'), { format: 'oci-layout' })
    expect(run('umoci', 'ls', '--layout', 'saved')).toBe('v1\n')
    run('umoci', 'unpack', '--image', 'saved:v1', 'bundle')
    expect(readFileSync(at('bundle/rootfs/hello'), 'utf8')).toBe('world')
  })

  test('tar lists it with fixed owners and times', async () => {
    const layer = await tarOf([{ name: 'hello', body: 'world' }])
    const [image] = await loadImages(
      services,
      oneChunk(await oldDockerArchive([{ layers: [layer], tags: ['app:v1'] }])),
    )
    await saveImages(services, [image!], at('saved.tar'))
    const lines = run('tar', '--utc', '--numeric-owner', '-tvf', 'saved.tar').trim().split('\n')
    expect(lines.every((line) => /^[d-]rw[x-]r-[x-]r-[x-] 0\/0 +\d+ 1970-01-01 00:00 /.test(line))).toBe(true)
    expect(
      lines.map((line) =>
        line
          .split(' ')
          .at(-1)!
          .replace(/[0-9a-f]{64}/, '*'),
      ),
    ).toEqual([
      'blobs/',
      'blobs/sha256/',
      'oci-layout',
      'index.json',
      'manifest.json',
      ...Array(3).fill('blobs/sha256/*'),
    ])
  })
})

async function* oneChunk(bytes: Uint8Array) {
  yield bytes
}
