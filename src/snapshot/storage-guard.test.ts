import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { DraftId, SnapshotId } from '../driver-kit/ids.ts'
import type { SnapshotInfo, StorageDriver } from '../driver-kit/storage-driver.ts'
import { StorageGuard } from './storage-guard.ts'

const draft = (name: string) => name as DraftId
const snapshot = (name: string) => name as SnapshotId

/** A driver that does what it is told, slowly, and looks at no signal. */
function slowDriver(overrides: Partial<StorageDriver> = {}) {
  const log: string[] = []
  const did = async (what: string, ms = 5) => {
    log.push(`+${what}`)
    await sleep(ms)
    log.push(`-${what}`)
  }
  const info: SnapshotInfo = { id: draft('x'), kind: 'draft', parent: null, createdAt: new Date() }
  const driver: StorageDriver = {
    name: 'slow',
    capabilities: { maxDepth: 10, quota: false, idMap: false, cloneDraft: false, changeHint: false },
    prepare: async (id) => did(`prepare ${id}`, 30).then(() => []),
    view: async (id) => did(`view ${id}`).then(() => []),
    mounts: async (id) => did(`mounts ${id}`).then(() => []),
    commit: (id, as) => did(`commit ${id} ${as}`),
    remove: (id) => did(`remove ${id}`),
    stat: async () => info,
    usage: async () => ({ bytes: 0, inodes: 0 }),
    async *list() {
      yield info
    },
    health: async () => ({ state: 'good', messages: [], facts: {} }),
    [Symbol.asyncDispose]: () => did('dispose'),
    ...overrides,
  }
  return { driver, log }
}

describe('the guard around storage drivers', () => {
  test('one call per id at a time, several ids side by side', async () => {
    const { driver, log } = slowDriver()
    const guard = new StorageGuard(driver)
    await Promise.all([guard.mounts(draft('a')), guard.mounts(draft('a')), guard.mounts(draft('b'))])
    expect(log).toHaveLength(6)
    expect(log.indexOf('-mounts a')).toBeLessThan(log.lastIndexOf('+mounts a'))
    expect(log.indexOf('+mounts b')).toBeLessThan(log.indexOf('-mounts a'))
  })

  test('commits that cross each other do not lock up', async () => {
    const guard = new StorageGuard(slowDriver().driver)
    await Promise.all([
      guard.commit(draft('a'), snapshot('b')),
      guard.commit(draft('b'), snapshot('a')),
      guard.commit(draft('a'), snapshot('a')),
    ])
  })

  test('a parent is not removed while drafts are made upon it, nor the other way round', async () => {
    const { driver, log } = slowDriver()
    const guard = new StorageGuard(driver)
    await Promise.all([
      guard.prepare(draft('a'), snapshot('p')),
      guard.prepare(draft('b'), snapshot('p')),
      guard.remove(snapshot('p')),
      guard.prepare(draft('c'), snapshot('p')),
    ])
    expect(log.slice(0, 2)).toEqual(['+prepare a', '+prepare b'])
    expect(log.indexOf('+remove p')).toBe(4)
    expect(log.indexOf('+prepare c')).toBeGreaterThan(log.indexOf('-remove p'))
  })

  test('frees an aborted caller, and removes what comes late', async () => {
    // It ends when the test says so, so that no slow machine lets it be first.
    const late = Promise.withResolvers<void>()
    const { driver, log } = slowDriver()
    const prepare = driver.prepare.bind(driver)
    driver.prepare = async (...given) => {
      const mounts = prepare(...given)
      await late.promise
      return mounts
    }
    const guard = new StorageGuard(driver, { graceMs: 5 })
    const abort = new AbortController()
    const prepared = guard.prepare(draft('a'), null, { signal: abort.signal })
    setTimeout(() => abort.abort(new Error('why')), 5)
    await expect(prepared).rejects.toMatchObject({ name: 'AbortError', cause: { message: 'why' } })
    expect(log).not.toContain('+remove a')
    late.resolve()
    await guard.mounts(draft('a'))
    expect(log).toEqual(['+prepare a', '-prepare a', '+remove a', '-remove a', '+mounts a', '-mounts a'])
  })

  test('waits for a driver that ends soon after the abort', async () => {
    const { driver, log } = slowDriver()
    const guard = new StorageGuard(driver, { graceMs: 5000 })
    const abort = new AbortController()
    const prepared = guard.prepare(draft('a'), null, { signal: abort.signal })
    setTimeout(() => abort.abort(), 5)
    await expect(prepared).rejects.toMatchObject({ name: 'AbortError' })
    expect(log.at(-1)).toBe('-remove a')
  })

  test('an abort before its turn never reaches the driver', async () => {
    const { driver, log } = slowDriver()
    const guard = new StorageGuard(driver)
    const abort = new AbortController()
    const first = guard.prepare(draft('a'), null)
    const second = guard.mounts(draft('a'), { signal: abort.signal })
    abort.abort()
    await expect(second).rejects.toMatchObject({ name: 'AbortError' })
    await first
    await guard[Symbol.asyncDispose]()
    expect(log).not.toContain('+mounts a')
  })

  test('disposal waits for what runs, happens once and ends everything', async () => {
    const { driver, log } = slowDriver()
    const guard = new StorageGuard(driver)
    const running = guard.prepare(draft('a'), null)
    await Promise.all([guard[Symbol.asyncDispose](), guard[Symbol.asyncDispose]()])
    await running
    expect(log).toEqual(['+prepare a', '-prepare a', '+dispose', '-dispose'])
    await expect(guard.mounts(draft('a'))).rejects.toMatchObject({ code: 'call.disposed' })
    await expect(guard.list()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'call.disposed' })
  })

  test('gives foreign errors a name and keeps the cause', async () => {
    const cause = new TypeError('undefined is not a function')
    const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write' })
    const guard = new StorageGuard(
      slowDriver({ mounts: () => Promise.reject(cause), commit: () => Promise.reject(full) }).driver,
    )
    await expect(guard.mounts(draft('a'))).rejects.toMatchObject({ code: 'storage.driver_failed', cause })
    await expect(guard.commit(draft('a'), snapshot('s'))).rejects.toMatchObject({ kind: 'resource_exhausted' })
  })

  test('a driver that throws instead of rejecting does no harm', async () => {
    const guard = new StorageGuard(
      slowDriver({
        mounts: () => {
          throw new Error('thrown')
        },
      }).driver,
    )
    await expect(guard.mounts(draft('a'))).rejects.toMatchObject({ code: 'storage.driver_failed' })
    await guard.remove(draft('a'))
    await guard[Symbol.asyncDispose]()
  })

  test('what is not declared is refused without asking the driver', async () => {
    const { driver, log } = slowDriver()
    const guard = new StorageGuard(driver)
    const kind = { kind: 'unsupported' }
    await expect(guard.prepare(draft('a'), null, { quotaBytes: 1 })).rejects.toMatchObject(kind)
    await expect(guard.resize(draft('a'), 1)).rejects.toMatchObject(kind)
    await expect(guard.freeze(draft('a'), snapshot('s'))).rejects.toMatchObject(kind)
    await expect(guard.changes(draft('a'))).rejects.toMatchObject(kind)
    expect(await guard.reclaim()).toEqual({ freedBytes: null })
    expect(log).toEqual([])
  })

  test('says why sizes cannot be limited here, and checks the size where they can', async () => {
    const lacking = slowDriver()
    const reasons = { quota: 'the mount option pquota is missing: mount it with pquota' }
    const guard = new StorageGuard({ ...lacking.driver, capabilities: { ...lacking.driver.capabilities, reasons } })
    for (const work of [guard.prepare(draft('a'), null, { quotaBytes: 1 }), guard.resize(draft('a'), 1)])
      await expect(work).rejects.toMatchObject({
        code: 'storage.no_quota',
        kind: 'unsupported',
        message: expect.stringMatching(/mount option pquota is missing/),
      })
    const able = slowDriver({ resize: async () => {} })
    const limiting = new StorageGuard({ ...able.driver, capabilities: { ...able.driver.capabilities, quota: true } })
    for (const bad of [0, -1, 1.5, Number.NaN]) {
      await expect(limiting.prepare(draft('a'), null, { quotaBytes: bad })).rejects.toMatchObject({
        code: 'call.bad_option',
      })
      await expect(limiting.resize(draft('a'), bad)).rejects.toMatchObject({ code: 'call.bad_option' })
    }
    expect([...lacking.log, ...able.log]).toEqual([])
  })
})
