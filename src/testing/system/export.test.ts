import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Engine } from '../../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'

let fixture: BusyboxRoot
let engine: Engine

beforeAll(async () => {
  fixture = await busyboxRoot()
  engine = await fixture.open()
})
afterEach(async () => {
  for await (const container of engine.containers.list()) await container.remove({ force: true })
})
afterAll(async () => {
  await engine[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

const listing = (file: string) => execFileSync('tar', ['-tf', file], { encoding: 'utf8' }).trim().split('\n')
const script = 'echo made > /made; rm /bin/ls; echo in > /empty/mounted; mkdir /done; exec sleep 1000'

test.each(['process', 'detached'] as const)(
  'a running %s container: what it changed, nothing of what is mounted in it, the same as when it has stopped',
  async (lifetime) => {
    const file = join(fixture.root, `export-${lifetime}.tar`)
    const command = ['sh', '-c', script]
    const spec = {
      image: imageName,
      command,
      lifetime,
      stopTimeout: 0,
      mounts: [{ type: 'tmpfs', target: '/empty' }] as const,
    }
    const container = await engine.containers.run({ ...spec, networks: 'none' })
    await container.exec(['sh', '-c', 'until test -d /done; do usleep 1000; done; echo hidden > /dev/shm/x'])
    await container.exportRootfs(file)
    const running = listing(file)
    expect(running).toContain('made')
    expect(running).not.toContain('bin/ls')
    expect(running).not.toContain('empty/mounted')
    expect(
      running.filter((name) => /^(proc|dev|sys)\/./.test(name) && !/^dev\/(pts|shm|mqueue|console)\/?$/.test(name)),
    ).toEqual([])
    expect(execFileSync('tar', ['-xOf', file, 'made'], { encoding: 'utf8' })).toBe('made\n')
    await container.stop()
    await container.exportRootfs(file)
    expect(listing(file)).toEqual(running)
  },
)

test('one that is paused, and one that ends meanwhile', async () => {
  const file = join(fixture.root, 'export.tar')
  const container = await engine.containers.run({ image: imageName, command: ['sleep', '1000'], networks: 'none' })
  await container.pause()
  await container.exportRootfs(file)
  expect(listing(file)).toContain('bin/sh')
  await container.unpause()
  // It is exported as it was before or after its end.
  await Promise.all([container.exportRootfs(file), container.kill()])
  expect(listing(file)).toContain('bin/sh')
})
