import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { CountingUnpacker } from '../testing/system/counting-unpacker.ts'
import { oldDockerArchive, tarOf } from '../testing/system/image-fixture.ts'
import { loadImages } from './load-images.ts'
import { saveImages } from './save-images.ts'
import type { TransferServices } from './transfer-services.ts'

// Podman reads what we save, and we read what Podman saves; the id and the layers stay.

let fixture: ContentFixture
let services: TransferServices
beforeEach(() => {
  fixture = contentFixture()
  services = { ...fixture, unpacker: new CountingUnpacker(), diagnostics: () => {} }
})
afterEach(() => fixture[Symbol.asyncDispose]())

const at = (...parts: string[]) => join(fixture.scratch, ...parts)
const podman = (...args: string[]) =>
  execFileSync(
    'podman',
    [
      '--root',
      at('storage'),
      '--runroot',
      at('run'),
      '--storage-driver',
      'vfs',
      '--cgroup-manager',
      'cgroupfs',
      ...args,
    ],
    { cwd: fixture.scratch, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
  )

test.each(['docker-archive', 'oci-archive'] as const)('%s', async (format) => {
  const layers = [
    await tarOf([{ name: 'hello', body: 'world' }]),
    await tarOf([{ name: 'again', body: 'x'.repeat(9000) }]),
  ]
  const archive = await oldDockerArchive([{ layers, tags: ['app:v1'] }])
  const [image] = await loadImages(
    services,
    (async function* () {
      yield archive
    })(),
  )
  await saveImages(services, [image!], at('ours.tar'), { format })
  podman('load', '--quiet', '--input', 'ours.tar')
  const id = podman('images', '--no-trunc', '--quiet').trim()
  expect(id).toBe(image!.id)
  const [facts] = JSON.parse(podman('image', 'inspect', id))
  expect(facts.RootFS.Layers).toEqual(image!.layers.map(({ diffId }) => diffId))
  expect(facts.NamesHistory.join()).toContain('app:v1')

  podman('save', '--quiet', '--format', format, '--output', 'theirs.tar', facts.RepoTags[0])
  fixture.images.remove(image!.id, { force: true })
  await fixture.content.collectGarbage()
  const [back] = await loadImages(services, at('theirs.tar'))
  expect(back!.id).toBe(image!.id)
  expect(back!.layers.map(({ diffId }) => diffId)).toEqual(image!.layers.map(({ diffId }) => diffId))
  expect(back!.names.join()).toContain('app:v1')
})
