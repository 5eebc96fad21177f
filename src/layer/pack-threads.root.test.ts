import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ChangeHint } from '../driver-kit/storage-driver.ts'
import { digestOf } from '../oci/digest.ts'
import { listChanges, packChanges } from './pack-changes.ts'
import { PackThreads } from './pack-threads.ts'
import { type TreeFixture, treeFixture } from './tree-fixture.ts'

let fixture: TreeFixture
let threads: PackThreads
let scratch: string

beforeEach(() => {
  fixture = treeFixture()
  threads = new PackThreads()
  scratch = join(fixture.directory, 'scratch')
  mkdirSync(scratch)
  fixture.shell('mkdir -p lower/dir upper/dir; echo old >lower/dir/file; echo new >upper/dir/file; echo x >upper/added')
})
afterEach(async () => {
  await threads[Symbol.asyncDispose]()
  fixture[Symbol.dispose]()
})

const hint = (): ChangeHint => ({
  format: 'overlay',
  directory: join(fixture.directory, 'upper'),
  lower: [join(fixture.directory, 'lower')],
  xattrPrefix: 'trusted.overlay.',
})
const options = () => ({ scratch, run: threads.run.bind(threads) as PackThreads['run'] })
const mounts = () => readFileSync('/proc/self/mounts', 'utf8')
const threadCount = () => Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1])

async function packed(more: object = {}): Promise<{ bytes: Buffer; digest: string | null }> {
  const file = join(fixture.directory, 'layer.tar')
  const output = openSync(file, 'w')
  try {
    const { digest } = await packChanges(hint(), output, { ...options(), digest: true, ...more })
    return { bytes: readFileSync(file), digest }
  } finally {
    closeSync(output)
  }
}

test('one thread does one job after the other, and sees the machine again in between', async () => {
  const before = mounts()
  const first = await packed()
  const count = threadCount()
  expect(first.digest).toBe(digestOf(first.bytes))
  for (let round = 0; round < 20; round++) {
    expect((await packed()).bytes.equals(first.bytes)).toBe(true)
    // Another place each time: only a thread that has come back out of the last one reaches it.
    writeFileSync(join(fixture.directory, 'upper', `more-${round}`), '')
    expect((await listChanges(hint(), options())).at(-1)).toEqual(
      expect.objectContaining({ kind: 'added', path: expect.stringMatching(/^\/more-/) }),
    )
    fixture.shell(`rm upper/more-${round}`)
  }
  expect(threadCount()).toBe(count)
  expect(mounts()).toBe(before)
})

test('several at once each have a thread, of which one is kept', async () => {
  await packed()
  const count = threadCount()
  const lists = await Promise.all([1, 2, 3].map(() => listChanges(hint(), options())))
  for (const list of lists)
    expect(list.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'added /added',
      'modified /dir',
      'modified /dir/file',
    ])
  for (let tries = 0; threadCount() > count && tries < 200; tries++) await new Promise((done) => setTimeout(done, 10))
  expect(threadCount()).toBeLessThanOrEqual(count)
})

test('a failed and an aborted job take their thread along; the next one has a new one', async () => {
  fixture.shell('echo x >upper/.wh.bad')
  await expect(packed()).rejects.toMatchObject({ code: 'layer.unsupported_entry' })
  fixture.shell('rm upper/.wh.bad')
  const controller = new AbortController()
  const aborted = packed({ signal: controller.signal })
  controller.abort()
  await expect(aborted).rejects.toMatchObject({ name: 'AbortError' })
  expect((await packed()).bytes.length).toBeGreaterThan(0)
})

test('mount points and the way to them are left out, what lies beside them is not', async () => {
  fixture.shell(`
    mkdir -p lower/etc upper/etc upper/data/deep upper/other/place upper/kept; : >upper/etc/hosts; : >upper/kept/file
    echo mine >upper/other/file; : >upper/etc/own; chmod 755 lower/etc upper/etc`)
  const list = async (mountPoints: readonly string[]) =>
    (await listChanges(hint(), { ...options(), mountPoints }))
      .map(({ path }) => path)
      .filter((path) => !/^\/(dir|added)/.test(path))
  const points = ['/etc/hosts', '/data/deep', '/other/place', '/kept/file/', '/missing']
  expect(await list(points)).toEqual(['/etc', '/etc/own', '/other', '/other/file'])
  fixture.shell('rm upper/etc/own')
  expect(await list(points)).toEqual(['/other', '/other/file'])
  // A mode that was changed is the container's doing, and so is content.
  fixture.shell('chmod 700 upper/etc; echo x >upper/etc/hosts')
  expect(await list(points)).toContain('/etc')
  expect(await list(points)).toContain('/etc/hosts')
})

test('a job that comes when the thread is just being ended gets another one', async () => {
  threads = new PackThreads({ idleMs: 20 })
  const first = await packed()
  const due = Date.now() + 30
  const later = Promise.withResolvers<Awaited<ReturnType<typeof packed>>>()
  setTimeout(() => later.resolve(packed()), 20)
  // Both timers are due in one turn: the thread's is the first.
  while (Date.now() < due);
  expect((await later.promise).digest).toBe(first.digest)
})
