import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { overlay2Storage } from '../../drivers/storage/overlay2/index.ts'
import { vfsStorage } from '../../drivers/storage/vfs/index.ts'
import { Lease } from '../content/lease.ts'
import type { AnyDriverDefinition } from '../driver-kit/definition.ts'
import { type OpenedStorage, openTestStorage, testChain } from '../testing/system/storage-fixture.ts'
import type { ChainLayer } from './snapshot-service.ts'

let root: string
let open: OpenedStorage

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'snapshots-'))
})
afterEach(async () => {
  await open?.[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

const unpack = (given: OpenedStorage, layers: readonly ChainLayer[], made: string[] = []) =>
  given.storage.ensureChain(layers, async (index, mounts) => {
    made.push(layers[index]!.chainId)
    await given.mounted(mounts, (path) => writeFileSync(join(path, `layer-${index}`), layers[index]!.diffId))
  })

const rows = () => ({
  snapshots: open.state.db.all('SELECT id FROM snapshots').length,
  drafts: open.state.db.all('SELECT id FROM drafts').length,
})

const definitions: readonly AnyDriverDefinition[] = [overlay2Storage, vfsStorage]
const [a, ab, abc] = [testChain('a'), testChain('a', 'b'), testChain('a', 'b', 'c')]

describe.each(['overlay2', 'vfs'])('snapshots on %s', (driver) => {
  beforeEach(async () => {
    open = await openTestStorage(root, definitions, { driver })
  })

  test('makes every link of a chain once', async () => {
    const made: string[] = []
    await unpack(open, ab, made)
    await unpack(open, abc, made)
    await Promise.all([unpack(open, abc, made), unpack(open, a, made)])
    expect(made).toEqual(abc.map(({ chainId }) => chainId))
    expect(open.storage.hasChain(abc[2]!.chainId)).toBe(true)
    expect(rows()).toEqual({ snapshots: 3, drafts: 0 })
    await using view = await open.storage.view(abc[2]!.chainId, { owner: open.owner.id })
    expect(await open.mounted(view.mounts, (path) => readdirSync(path).sort())).toEqual([
      'layer-0',
      'layer-1',
      'layer-2',
    ])
  })

  test('a root that holds something is not opened with another driver', async () => {
    await unpack(open, a)
    await open[Symbol.asyncDispose]()
    const other = driver === 'vfs' ? 'overlay2' : 'vfs'
    await expect(openTestStorage(root, definitions, { driver: other })).rejects.toMatchObject({
      code: 'storage.other_driver',
      details: { wanted: other, prior: [driver] },
    })
    open = await openTestStorage(root, definitions)
    expect(open.storage.driver).toBe(driver)
    expect(open.storage.hasChain(a[0]!.chainId)).toBe(true)
    await open.storage.reset()
    await open[Symbol.asyncDispose]()
    open = await openTestStorage(root, definitions, { driver: other })
    expect(open.storage.driver).toBe(other)
  })

  test('concurrent wishes for one chain share the work', async () => {
    const made: string[] = []
    await Promise.all([unpack(open, abc, made), unpack(open, abc, made), unpack(open, ab, made)])
    expect(made.sort()).toEqual(abc.map(({ chainId }) => chainId).sort())
  })

  test('takes back a layer that cannot be applied, and keeps those below', async () => {
    const failure = new Error('bad layer')
    await expect(
      open.storage.ensureChain(ab, async (index) => {
        if (index === 1) throw failure
      }),
    ).rejects.toBe(failure)
    expect(rows()).toEqual({ snapshots: 1, drafts: 0 })
    expect(await open.storage.check()).toEqual([])
    await unpack(open, ab)
    expect(rows()).toEqual({ snapshots: 2, drafts: 0 })
  })

  test('takes back a layer when the signal fires', async () => {
    const abort = new AbortController()
    const ensured = open.storage.ensureChain(
      a,
      async (_index, _mounts, signal) => {
        abort.abort(new Error('enough'))
        signal?.throwIfAborted()
      },
      { signal: abort.signal },
    )
    await expect(ensured).rejects.toThrow()
    expect(rows()).toEqual({ snapshots: 0, drafts: 0 })
    expect(await open.storage.check()).toEqual([])
  })

  test('drafts: made, mounted again, removed, refused', async () => {
    await unpack(open, ab)
    const { storage, owner } = open
    const options = { kind: 'container', owner: owner.id } as const
    const mounts = await storage.createDraft('c1', ab[1]!.chainId, options)
    await open.mounted(mounts, (path) => writeFileSync(join(path, 'mine'), ''))
    await open.mounted(await storage.draftMounts('c1'), (path) => expect(readdirSync(path)).toContain('mine'))
    expect((await storage.usage('c1')).inodes).toBeGreaterThan(0)
    expect(readdirSync((await storage.changes('c1'))!.directory)).toContain('mine')
    await expect(storage.createDraft('c1', null, options)).rejects.toMatchObject({ kind: 'already_exists' })
    await expect(storage.createDraft('c2', abc[2]!.chainId, options)).rejects.toMatchObject({ kind: 'not_found' })
    await expect(storage.createDraft('c2', null, { ...options, quotaBytes: 1e6 })).rejects.toMatchObject({
      kind: 'unsupported',
    })
    expect(rows().drafts).toBe(1)
    await storage.removeDraft('c1')
    await storage.removeDraft('c1')
    expect(rows().drafts).toBe(0)
    expect(await storage.check()).toEqual([])
  })

  test('collects what no image, draft or lease needs', async () => {
    const other = testChain('a', 'x')
    await unpack(open, abc)
    await unpack(open, other)
    const { storage, owner, state } = open
    await storage.createDraft('c1', ab[1]!.chainId, { kind: 'container', owner: owner.id })
    const lease = Lease.create(state.db, owner.id)
    await storage.ensureChain(other, async () => {}, { lease: lease.id })
    expect(await storage.removeUnused(new Set())).toEqual([abc[2]!.chainId])
    lease.release()
    expect(await storage.removeUnused(new Set([other[1]!.chainId]))).toEqual([])
    expect(await storage.removeUnused(new Set())).toEqual([other[1]!.chainId])
    await storage.removeDraft('c1')
    expect((await storage.removeUnused(new Set())).length).toBe(2)
    expect(rows()).toEqual({ snapshots: 0, drafts: 0 })
    expect(await storage.check()).toEqual([])
  })

  test('sweeps the drafts of the dead, but not the roots of recorded containers', async () => {
    const { storage, state } = open
    await storage.createDraft('half-made', null, { kind: 'layer', owner: 'dead' })
    await storage.createDraft('orphan', null, { kind: 'container', owner: 'dead' })
    await storage.createDraft('recorded', null, { kind: 'container', owner: 'dead' })
    await storage.createDraft('mine', null, { kind: 'layer', owner: open.owner.id })
    state.db.run(
      `INSERT INTO containers (id, name, lifetime, image, spec, status, created_at) VALUES ('recorded', 'n', 'detached', 'i', '{}', 'exited', 0)`,
    )
    expect([...(await storage.sweep(['dead']))].sort()).toEqual(['half-made', 'orphan'])
    expect(state.db.all('SELECT id FROM drafts ORDER BY id').map(({ id }) => id)).toEqual(['mine', 'recorded'])
  })

  test('finds and mends what records and driver disagree about', async () => {
    await unpack(open, abc)
    const { storage, state } = open
    await storage.createDraft('unknown', null, { kind: 'layer', owner: 'x' })
    await storage.createDraft('missing', null, { kind: 'layer', owner: 'x' })
    const folder = state.paths.storage(driver)
    state.db.run("DELETE FROM drafts WHERE id = 'unknown'")
    rmSync(join(folder, 'drafts/missing'), { recursive: true })
    state.db.run("UPDATE drafts SET created_at = 0 WHERE id = 'missing'")
    state.db.run('DELETE FROM snapshots WHERE id = ?', abc[2]!.chainId)
    rmSync(join(folder, 'snapshots', a[0]!.chainId), { recursive: true })
    const summary = (problems: readonly { kind: string; id: string }[]) =>
      problems.map(({ kind, id }) => `${kind} ${id}`).sort()
    const expected = [
      'missing_draft missing',
      `missing_snapshot ${a[0]!.chainId}`,
      'unknown_draft unknown',
      `unknown_snapshot ${abc[2]!.chainId}`,
      `wrong_parent ${ab[1]!.chainId}`,
    ]
    expect(summary(await storage.check())).toEqual(expected)
    const repaired = await storage.check({ repair: true })
    expect(summary(repaired)).toEqual(expected)
    for (let again = await storage.check(); again.length > 0; again = await storage.check({ repair: true }))
      expect(again.length).toBeLessThan(expected.length)
    await unpack(open, abc)
    expect(await storage.check()).toEqual([])
    await using view = await storage.view(abc[2]!.chainId, { owner: open.owner.id })
    await open.mounted(view.mounts, (path) => expect(readFileSync(join(path, 'layer-0'), 'utf8')).toBe(abc[0]!.diffId))
  })

  test('takes over a link that was committed but not recorded', async () => {
    await unpack(open, ab)
    open.state.db.run('DELETE FROM snapshots WHERE id = ?', ab[1]!.chainId)
    const made: string[] = []
    await unpack(open, ab, made)
    expect(made).toEqual([])
    expect(rows().snapshots).toBe(2)
  })

  test('reset removes everything', async () => {
    await unpack(open, abc)
    await open.storage.createDraft('c1', abc[2]!.chainId, { kind: 'container', owner: open.owner.id })
    await open.storage.reset()
    expect(rows()).toEqual({ snapshots: 0, drafts: 0 })
    for (const place of ['drafts', 'snapshots', 'staging', 'trash'])
      expect(readdirSync(join(open.state.paths.storage(driver), place))).toEqual([])
  })
})

const child = join(import.meta.dirname, '../testing/system/storage-child.ts')

/** Starts another process on the same root. It works until it is killed, or says `done`. */
function startChild(...args: readonly string[]) {
  const process_ = spawn(process.execPath, ['--conditions=tscontainer-source', '--no-warnings', child, root, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  process_.stdout.on('data', (bytes: Buffer) => {
    text += bytes.toString()
  })
  const lines = () => text.split('\n').slice(0, -1)
  const ended = once(process_, 'close')
  return { lines, ended, kill: () => process_.kill('SIGKILL') }
}

describe('several processes on one root', () => {
  test('make a chain once', async () => {
    const children = [1, 2, 3].map(() => startChild('chain'))
    await Promise.all(children.map(({ ended }) => ended))
    const made = children.flatMap(({ lines }) => lines().filter((line) => line.startsWith('made ')))
    expect(made.sort()).toEqual(['made 0', 'made 1', 'made 2', 'made 3'])
    expect(children.map(({ lines }) => lines().at(-1))).toEqual(['done', 'done', 'done'])
    open = await openTestStorage(root, definitions)
    expect(await open.storage.check()).toEqual([])
  })

  test('lose nothing and leave nothing when they are killed', { timeout: 120_000 }, async () => {
    for (let round = 0; round < 12; round++) {
      const one = startChild('churn', String(round))
      while (one.lines().length < 3) await sleep(5)
      await sleep(Math.random() * 120)
      one.kill()
      await one.ended
      const acknowledged = one.lines()
      open = await openTestStorage(root, definitions)
      const dead = open.owners.dead()
      await open.storage.sweep(dead.map(({ id }) => id))
      for (const { id } of dead) open.owners.forget(id)
      for (const line of acknowledged) {
        const [verb, id] = line.split(' ')
        if (verb !== 'chain') continue
        expect(open.storage.hasChain(id as `sha256:${string}`), line).toBe(true)
        await using view = await open.storage.view(id as `sha256:${string}`, { owner: open.owner.id })
        await open.mounted(view.mounts, (path) => expect(readFileSync(join(path, 'layer-0'), 'utf8')).toBe('whole'))
      }
      expect(rows().drafts).toBe(0)
      await open.storage.removeUnused(new Set())
      expect(await open.storage.check()).toEqual([])
      const folder = open.state.paths.storage('overlay2')
      expect(readdirSync(join(folder, 'staging'))).toEqual([])
      await open[Symbol.asyncDispose]()
      for (const place of ['drafts', 'snapshots', 'trash', 'instances'])
        expect(readdirSync(join(folder, place)), place).toEqual([])
      expect(existsSync(join(folder, 'format.json'))).toBe(true)
    }
  })
})
