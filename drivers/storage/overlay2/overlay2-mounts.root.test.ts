import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DraftId, DriverContext, MountSpec, SnapshotId } from '../../../src/driver-kit/index.ts'
import { createHost, type Host } from '../../../src/host/host.ts'
import { overlay2Storage } from './index.ts'
import { overlayMount } from './mount-options.ts'

const draft = (name: string) => name as DraftId
const snapshot = (name: string) => name as SnapshotId

let base: string
let host: Host

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'overlay2-'))
  host = createHost({ diagnostics: () => {} })
})

afterEach(async () => {
  await host[Symbol.asyncDispose]()
  rmSync(base, { recursive: true, force: true })
})

const contextIn = (root: string): DriverContext => {
  const [directory, runDirectory] = [join(root, 'driver'), join(root, 'run')]
  for (const path of [directory, runDirectory, join(root, 'target')]) mkdirSync(path, { recursive: true })
  return { directory, runDirectory, host, diagnostics: () => {} }
}

const mounted = async <T>(mounts: readonly MountSpec[], work: (root: string) => T): Promise<T> => {
  await using lease = await host.launcher.mount({ target: join(base, 'target'), mounts })
  return await work(lease.path)
}

describe('overlay2', () => {
  test('stacks 500 layers and refuses one more', async () => {
    const context = contextIn(base)
    // 500 times a sync of the whole file system is not what is tested here.
    const unsynced: DriverContext = {
      ...context,
      host: Object.assign(Object.create(host), { run: async () => ({ exitCode: 0, stdout: '', stderr: '' }) }),
    }
    await using driver = await overlay2Storage.open(unsynced, overlay2Storage.parseOptions({}))
    for (let i = 0; i < 500; i++) {
      await driver.prepare(draft('d'), i === 0 ? null : snapshot(`s${i - 1}`))
      writeFileSync(join(context.directory, `drafts/d/diff/f${i}`), '')
      await driver.commit(draft('d'), snapshot(`s${i}`))
    }
    const count = (root: string) => readdirSync(root).length
    expect(await mounted(await driver.prepare(draft('top'), snapshot('s499')), count)).toBe(500)
    expect(await mounted(await driver.view(draft('view'), snapshot('s499')), count)).toBe(500)
    await driver.commit(draft('top'), snapshot('s500'))
    await expect(driver.prepare(draft('beyond'), snapshot('s500'))).rejects.toMatchObject({ code: 'storage.too_deep' })
  })

  test.each(['with,comma', 'with:colon', 'with\\backslash', 'with space', 'all,of:them\\, :'])(
    'works below a directory named %s',
    async (name) => {
      const context = contextIn(join(base, name))
      mkdirSync(join(base, 'target'))
      await using driver = await overlay2Storage.open(context, overlay2Storage.parseOptions({}))
      for (const [i, parent] of [null, 's0', 's1'].entries()) {
        const mounts = await driver.prepare(draft('d'), parent === null ? null : snapshot(parent))
        await mounted(mounts, (root) => writeFileSync(join(root, `f${i}`), ''))
        await driver.commit(draft('d'), snapshot(`s${i}`))
      }
      const mounts = await driver.prepare(draft('d'), snapshot('s2'))
      expect(await mounted(mounts, (root) => readdirSync(root))).toEqual(['f0', 'f1', 'f2'])
    },
  )

  test('sets every feature explicitly, and volatile only where it was asked for', async () => {
    await using driver = await overlay2Storage.open(contextIn(base), overlay2Storage.parseOptions({}))
    await driver.prepare(draft('d'), null)
    await driver.commit(draft('d'), snapshot('s'))
    const features = ['redirect_dir=nofollow', 'metacopy=off', 'index=off', 'xino=off']
    const [lasting] = await driver.prepare(draft('lasting'), snapshot('s'))
    const [passing] = await driver.prepare(draft('passing'), snapshot('s'), { volatile: true })
    expect(lasting!.options).toEqual(expect.arrayContaining(features))
    expect(lasting!.options).not.toContain('volatile')
    expect(passing!.options).toEqual(expect.arrayContaining([...features, 'volatile']))
    const shown = await mounted([passing!], () => {
      // One thread of this process has it.
      const tables = readdirSync('/proc/self/task').map((id) => readFileSync(`/proc/self/task/${id}/mountinfo`, 'utf8'))
      return tables
        .join('\n')
        .split('\n')
        .find((line) => line.includes(`${base}/target `))
    })
    expect(shown).toMatch(/ - overlay overlay .*volatile/)
  })

  test('is not tried again until something changes', async () => {
    const context = contextIn(base)
    let mounts = 0
    const counting: DriverContext = {
      ...context,
      host: Object.assign(Object.create(host), {
        launcher: Object.assign(Object.create(host.launcher), {
          mount: (...args: Parameters<Host['launcher']['mount']>) => {
            mounts++
            return host.launcher.mount(...args)
          },
        }),
      }),
    }
    const options = overlay2Storage.parseOptions({})
    for (let i = 0; i < 3; i++) {
      await overlay2Storage.probe(counting, options)
      await (await overlay2Storage.open(counting, options))[Symbol.asyncDispose]()
      if (i === 0) mounts = 0
    }
    expect(mounts).toBe(0)
    await (await overlay2Storage.open(counting, overlay2Storage.parseOptions({ volatile: false })))[
      Symbol.asyncDispose
    ]()
    expect(mounts).toBeGreaterThan(0)
  })

  test('refuses overlay upon overlay and says what to do', async () => {
    for (const name of ['lower', 'upper', 'work', 'target']) mkdirSync(join(base, name))
    const support = { options: [], volatile: false, idMap: true, xattrPrefix: 'trusted.overlay.' } as const
    const spec = overlayMount(support, {
      lower: [join(base, 'lower')],
      upper: join(base, 'upper'),
      work: join(base, 'work'),
    })
    await mounted([spec], async (root) => {
      const context = contextIn(join(root, 'inside'))
      const probe = await overlay2Storage.probe(context, overlay2Storage.parseOptions({}))
      expect(probe).toMatchObject({ usable: false })
      expect(JSON.stringify(probe)).toMatch(/is on overlay.*volume of the host/)
      expect(readdirSync(context.directory)).toEqual([])
    })
  })

  test('says which right is missing', async () => {
    const context = contextIn(base)
    const refused = Object.assign(new Error('mount: EPERM'), { code: 'EPERM' })
    const without: DriverContext = {
      ...context,
      host: Object.assign(Object.create(host), {
        launcher: Object.assign(Object.create(host.launcher), { mount: async () => Promise.reject(refused) }),
      }),
    }
    const probe = await overlay2Storage.probe(without, overlay2Storage.parseOptions({}))
    expect(JSON.stringify(probe)).toMatch(/right to mount overlay.*CAP_SYS_ADMIN/)
    expect(readdirSync(context.directory)).toEqual([])
  })

  test('keeps what is below from other users', async () => {
    const context = contextIn(base)
    await using driver = await overlay2Storage.open(context, overlay2Storage.parseOptions({}))
    await driver.prepare(draft('d'), null)
    expect(statSync(join(context.directory, 'drafts')).mode & 0o777).toBe(0o700)
    expect(statSync(join(context.directory, 'drafts/d')).mode & 0o777).toBe(0o700)
    expect(existsSync(join(context.directory, 'staging'))).toBe(true)
  })
})
