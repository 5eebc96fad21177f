import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type {
  DraftId,
  DriverContext,
  IdMap,
  MountSpec,
  SnapshotId,
  StorageDriver,
} from '../../../src/driver-kit/index.ts'
import { createHost, type Host } from '../../../src/host/host.ts'
import { StorageGuard } from '../../../src/snapshot/storage-guard.ts'
import { overlay2Storage } from './index.ts'

const draft = (name: string) => name as DraftId
const snapshot = (name: string) => name as SnapshotId
const first = 300_000
const range = [{ onDisk: 0, shown: first, count: 65_536 }]
const idMap: IdMap = { uids: range, gids: range }

let base: string
let host: Host
let context: DriverContext
let driver: StorageDriver

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'id-map-'))
  chmodSync(base, 0o755)
  host = createHost({ diagnostics: () => {} })
  const [directory, runDirectory] = [join(base, 'driver'), join(base, 'run')]
  for (const path of [directory, runDirectory, join(base, 'target')]) mkdirSync(path)
  context = { directory, runDirectory, host, diagnostics: () => {} }
  driver = await overlay2Storage.open(context, overlay2Storage.parseOptions({}))
  await mounted(await driver.prepare(draft('d'), null), (root) => {
    chmodSync(root, 0o755)
    for (const [name, owner] of [
      ['root', 0],
      ['user', 1000],
      ['beyond', 70_000],
    ] as const) {
      writeFileSync(join(root, name), name)
      chownSync(join(root, name), owner, owner)
    }
    symlinkSync('user', join(root, 'link'))
  })
  await driver.commit(draft('d'), snapshot('s'))
})

afterEach(async () => {
  await driver[Symbol.asyncDispose]()
  await host[Symbol.asyncDispose]()
  rmSync(base, { recursive: true, force: true })
})

async function mounted<T>(mounts: readonly MountSpec[], work: (root: string) => T): Promise<T> {
  await using lease = await host.launcher.mount({ target: join(base, 'target'), mounts })
  return await work(lease.path)
}

/** Runs a script as root of a user namespace whose owners are those from `first` on, in the mounted tree. */
async function inUserNamespace(mounts: readonly MountSpec[], script: string): Promise<string> {
  const [gate, output] = [join(base, 'gate'), join(base, 'output')]
  host.makeFifo(gate)
  const stdin = openSync(gate, constants.O_RDWR)
  const stdout = openSync(output, 'w+')
  const drop = ['--reuid', String(first), '--regid', String(first), '--clear-groups']
  const become = 'echo ready; read -r _; exec setpriv --reuid 0 --regid 0 --clear-groups sh -euc "$1"'
  const child = await host.launcher.launch({
    root: { target: join(base, 'target'), mounts },
    file: 'setpriv',
    args: [...drop, 'unshare', '--user', 'sh', '-c', become, 'sh', `cd '${join(base, 'target')}'; ${script}`],
    env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin' },
    stdio: [stdin, stdout, stdout],
    session: 'own',
  })
  while (!readFileSync(output, 'utf8').includes('ready')) await sleep(2)
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${child.pid}/${map}`, `0 ${first} 65536`)
  writeSync(stdin, 'go\n')
  const { code } = await child.exited
  closeSync(stdin)
  closeSync(stdout)
  rmSync(gate)
  const said = readFileSync(output, 'utf8').replace('ready\n', '')
  expect(code, said).toBe(0)
  return said
}

const owners = (directory: string) =>
  Object.fromEntries(
    readdirSync(directory).map((name) => {
      const { uid, gid } = lstatSync(join(directory, name))
      return [name, `${uid}:${gid}`]
    }),
  )

describe('overlay2 with shifted owners', () => {
  test('shows the image to a user namespace as its own, and writes as the image would', async () => {
    expect(driver.capabilities.idMap).toBe(true)
    const mounts = await driver.prepare(draft('c'), snapshot('s'), { idMap })
    const said = await inUserNamespace(
      mounts,
      `stat -c '%n %u:%g' root user beyond link
       echo more >>root; chmod 600 user; touch made; chown 5:6 made; mkdir dir; ln root dir/linked; rm link
       touch mine; chown 1000:1000 mine; stat -c '%n %u:%g' made dir root mine`,
    )
    expect(said.trim().split('\n')).toEqual([
      'root 0:0',
      'user 1000:1000',
      // Of no range: seen as the overflow id.
      'beyond 65534:65534',
      'link 0:0',
      'made 5:6',
      'dir 0:0',
      'root 0:0',
      'mine 1000:1000',
    ])
    const written = owners(join(context.directory, 'drafts/c/diff'))
    expect(written).toMatchObject({ root: '0:0', user: '1000:1000', made: '5:6', dir: '0:0', mine: '1000:1000' })
    expect(owners(join(context.directory, 'snapshots/s/diff'))).toEqual({
      root: '0:0',
      user: '1000:1000',
      beyond: '70000:70000',
      link: '0:0',
    })
    // The layer made from it is one like any other.
    await driver.commit(draft('c'), snapshot('s2'))
    const seen = await mounted(await driver.prepare(draft('plain'), snapshot('s2')), owners)
    expect(seen).toEqual({
      root: '0:0',
      user: '1000:1000',
      beyond: '70000:70000',
      made: '5:6',
      dir: '0:0',
      mine: '1000:1000',
    })
  })

  test('on the host, files belong to the owners that were asked for', async () => {
    const mounts = await driver.prepare(draft('c'), snapshot('s'), { idMap })
    await mounted(mounts, (root) => {
      expect(owners(root)).toMatchObject({ root: `${first}:${first}`, user: `${first + 1000}:${first + 1000}` })
      // Nobody that the mapping knows: it would have no owner on disk.
      expect(() => writeFileSync(join(root, 'unmapped'), '')).toThrow(/EOVERFLOW/)
    })
    expect(host.mountTable().filter(({ target }) => target.startsWith(base))).toEqual([])
  })

  test('a tree without a parent, and again after a reopen', async () => {
    const mounts = await driver.prepare(draft('alone'), null, { idMap })
    await driver[Symbol.asyncDispose]()
    driver = await overlay2Storage.open(context, overlay2Storage.parseOptions({}))
    expect(await driver.mounts(draft('alone'))).toEqual(mounts)
    await inUserNamespace(mounts, 'touch made; chown 7:8 made')
    expect(owners(join(context.directory, 'drafts/alone/diff'))).toEqual({ made: '7:8' })
  })

  test('layers of many directories, deeper than a page of mount options', async () => {
    for (let i = 0; i < 40; i++) {
      await mounted(
        await driver.prepare(draft('d'), snapshot(i === 0 ? 's' : `s-${i - 1}-${'long'.repeat(30)}`)),
        (root) => writeFileSync(join(root, `f${i}`), ''),
      )
      await driver.commit(draft('d'), snapshot(`s-${i}-${'long'.repeat(30)}`))
    }
    const mounts = await driver.prepare(draft('c'), snapshot(`s-39-${'long'.repeat(30)}`), { idMap })
    expect((await inUserNamespace(mounts, 'stat -c %u f* | sort -u; ls | wc -l')).trim().split(/\s+/)).toEqual([
      '0',
      '44',
    ])
  })

  test.each([
    ['no range', [], /there is no range in uids/],
    ['overlapping ranges', [range[0]!, { onDisk: 10, shown: 900_000, count: 1 }], /overlap \(onDisk\)/],
    ['ranges shown twice', [range[0]!, { onDisk: 70_000, shown: first, count: 1 }], /overlap \(shown\)/],
    ['negative ids', [{ onDisk: -1, shown: 1, count: 1 }], /no id or count/],
    ['the id that is none', [{ onDisk: 0, shown: 2 ** 32 - 1, count: 1 }], /ends beyond/],
  ])('refuses %s', async (_, uids, message) => {
    await expect(driver.prepare(draft('c'), snapshot('s'), { idMap: { uids, gids: range } })).rejects.toMatchObject({
      code: 'call.bad_option',
      message: expect.stringMatching(message),
    })
    expect(readdirSync(join(context.directory, 'drafts'))).toEqual([])
  })

  test('says why it cannot, where it cannot', async () => {
    const withoutShift: DriverContext = {
      ...context,
      runDirectory: join(base, 'other-run'),
      host: Object.assign(Object.create(host), {
        launcher: Object.assign(Object.create(host.launcher), {
          mount: (...[root, call]: Parameters<Host['launcher']['mount']>) =>
            root.mounts.some(({ shift }) => shift)
              ? Promise.reject(new Error('the kernel said EINVAL'))
              : host.launcher.mount(root, call),
        }),
      }),
    }
    mkdirSync(withoutShift.runDirectory)
    await using lacking = await overlay2Storage.open(withoutShift, overlay2Storage.parseOptions({}))
    expect(lacking.capabilities).toMatchObject({ idMap: false, reasons: { idMap: 'the kernel said EINVAL' } })
    const unsupported = { code: 'storage.unsupported', message: expect.stringMatching(/kernel said EINVAL/) }
    await expect(lacking.prepare(draft('c'), snapshot('s'), { idMap })).rejects.toMatchObject(unsupported)
    await expect(new StorageGuard(lacking).prepare(draft('c'), null, { idMap })).rejects.toMatchObject(unsupported)
  })
})
