import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HostTable, readHostTables } from '../index.ts'
import { type BusyboxRoot, busyboxRoot } from './busybox-engine.ts'
import { DetachedClient, waitFor } from './detached-client.ts'
import { OwnTables } from './own-tables.ts'
import { moments, momentsTimeout, randomNumbers } from './random-moments.ts'

/** What must be gone by itself, without another engine. Empty cgroups, files and the shared bridge may wait. */
const atOnce: readonly HostTable[] = ['processes', 'mounts', 'namespaces', 'loopDevices', 'mapperDevices']
const afterOpen: readonly HostTable[] = [...atOnce, 'links', 'firewall', 'cgroups', 'files']

let fixture: BusyboxRoot
let own: OwnTables

/** What runtimes that were killed have forgotten. */
const runtimeFiles = () => readdirSync(tmpdir()).filter((name) => /^(crun|runc)\b/.test(name))
const formerRuntimeFiles = runtimeFiles()

beforeAll(async () => {
  fixture = await busyboxRoot()
  await using engine = await fixture.open()
  own = new OwnTables(fixture.root, (await engine.info()).rootId)
})

afterAll(async () => {
  await fixture[Symbol.asyncDispose]()
})

/** An engine in a process and group of its own, which has the root open. */
async function startChild(seed: number, network: string): Promise<ChildProcess> {
  const file = join(import.meta.dirname, 'churn-child.ts')
  const child = spawn(process.execPath, [file, fixture.root, String(seed), network], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  await once(child.stdout!, 'data')
  own.note()
  return child
}

const someMoment = (seed: number) => sleep(randomNumbers(seed)(250))

async function kill(child: ChildProcess, pid = child.pid!): Promise<void> {
  const gone = once(child, 'exit')
  process.kill(pid, 'SIGKILL')
  await gone
}

const guards = () => own.processesNamed('tscontainer-guard')

function killGuards(): void {
  for (const guard of guards()) process.kill(guard, 'SIGKILL')
}

describe('what SIGKILL of an engine leaves', () => {
  const deaths = [
    ['the process', (child: ChildProcess) => kill(child)],
    ['its whole group', (child: ChildProcess) => kill(child, -child.pid!)],
  ] as const

  test.each(deaths)(
    '%s, without a network: no process and no mount at once, nothing after the next open',
    { timeout: momentsTimeout },
    async (_, die) => {
      const before = await readHostTables({ parts: atOnce })
      for (let seed = 1; seed <= moments; seed++) {
        const child = await startChild(seed, 'none')
        await someMoment(seed)
        await die(child)
        expect({ seed, left: await own.leaks(before, atOnce) }).toEqual({ seed, left: [] })
      }
      await expectCleanAfterOpen()
    },
  )

  test('the same on the bridge: its links and rules go too', { timeout: momentsTimeout }, async () => {
    // The bridge itself, its table and its forwarding stay for the next container; they are made before.
    const first = await startChild(2, 'bridge')
    await sleep(1500)
    await kill(first)
    await sleep(500)
    const parts = [...atOnce, 'links', 'firewall'] as const
    const before = await readHostTables({ parts })
    for (let seed = 1; seed <= Math.ceil(moments / 4); seed++) {
      const child = await startChild(seed, 'bridge')
      await someMoment(seed)
      await kill(child)
      expect({ seed, left: await own.leaks(before, parts) }).toEqual({ seed, left: [] })
    }
    await expectCleanAfterOpen()
  })

  test('its guard alone: another one takes its place, and the engine’s death still takes everything along', {
    timeout: momentsTimeout,
  }, async () => {
    const perEngine = 10
    const before = await readHostTables({ parts: atOnce })
    for (let seed = 1; seed <= moments; seed += perEngine) {
      const child = await startChild(seed, 'none')
      for (let death = 0; death < perEngine; death++) {
        const [guard] = await waitFor('a guard', () => (guards().length > 0 ? guards() : null))
        await sleep(randomNumbers(seed + death)(100))
        killGuards()
        await waitFor('another guard', () => guards().some((pid) => pid !== guard))
      }
      // The new one watches only when it has said so.
      await sleep(100)
      await kill(child)
      expect({ seed, left: await own.leaks(before, atOnce) }).toEqual({ seed, left: [] })
    }
    await expectCleanAfterOpen()
  })

  test('engine and guard together: the next open ends what is left', { timeout: momentsTimeout }, async () => {
    const before = await readHostTables({ parts: afterOpen, directories: [join(fixture.root, 'containers')] })
    for (let seed = 1; seed <= moments; seed++) {
      const child = await startChild(seed, 'none')
      await someMoment(seed)
      killGuards()
      await kill(child)
      {
        await using next = await DetachedClient.open(fixture.root)
        expect(await next.list()).toEqual([])
      }
      if (seed % 20 === 0) await expectCleanAfterOpen()
      expect({ seed, left: await own.leaks(before, afterOpen) }).toEqual({ seed, left: [] })
    }
  })
})

test('what an engine and its guard left is ended by a collection on any root', async () => {
  const child = await startChild(3, 'none')
  await waitFor('a guard', () => guards().length > 0)
  await sleep(300)
  killGuards()
  await kill(child)
  await using other = await busyboxRoot()
  await using engine = await other.open()
  await engine.gc()
  expect(own.processes()).toEqual([])
  await expectCleanAfterOpen()
})

test('all these deaths leave no file of a runtime where programs have their temporary ones', () => {
  expect(runtimeFiles()).toEqual(formerRuntimeFiles)
})

/** Another engine opens the root: no record, no tree and no cgroup of the dead is left. */
async function expectCleanAfterOpen(): Promise<void> {
  await using engine = await fixture.open()
  expect(await Array.fromAsync(engine.containers.list())).toEqual([])
  expect((await engine.check()).problems).toEqual([])
  expect(readdirSync(join(fixture.root, 'containers'))).toEqual([])
  const { owners } = await engine.info()
  expect(owners.map(({ pid }) => pid)).toEqual([process.pid])
}
