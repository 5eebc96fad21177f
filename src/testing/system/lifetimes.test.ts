import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HostTable, type HostTables, newSince, readHostTables } from '../index.ts'
import { type BusyboxRoot, busyboxRoot } from './busybox-engine.ts'

/** Random moments per kind of death; the full run takes all of them. */
const moments = process.env['TSCONTAINER_FULL'] === '1' ? 1000 : 200

let fixture: BusyboxRoot

beforeAll(async () => {
  fixture = await busyboxRoot()
})

afterAll(async () => {
  await fixture[Symbol.asyncDispose]()
})

/** What must be gone by itself, without another engine. Empty cgroups, files and the shared bridge may wait. */
const atOnce: readonly HostTable[] = ['processes', 'mounts', 'namespaces', 'loopDevices', 'mapperDevices']

function startChild(seed: number, network: string): ChildProcess {
  const file = join(import.meta.dirname, 'churn-child.ts')
  return spawn(process.execPath, [file, fixture.root, String(seed), network], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
}

/** Waits until the child has opened its engine, then a random while. */
async function someMoment(child: ChildProcess, seed: number): Promise<void> {
  await once(child.stdout!, 'data')
  await sleep((seed * 7919) % 250)
}

const guardsOf = (pid: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((other) => {
      try {
        return other !== pid && readFileSync(`/proc/${other}/cmdline`, 'utf8').includes('tscontainer-guard')
      } catch {
        return false
      }
    })

describe('what SIGKILL of an engine leaves', () => {
  const deaths = [
    ['the process', (child: ChildProcess) => process.kill(child.pid!, 'SIGKILL')],
    ['its whole group', (child: ChildProcess) => process.kill(-child.pid!, 'SIGKILL')],
  ] as const

  test.each(deaths)(
    '%s, without a network: no process and no mount at once, nothing after the next open',
    async (_, kill) => {
      for (let seed = 1; seed <= moments; seed++) {
        const before = await readHostTables({ parts: atOnce })
        const child = startChild(seed, 'none')
        await someMoment(child, seed)
        kill(child)
        await once(child, 'exit')
        expect({ seed, left: await ourLeaks(before, atOnce) }).toEqual({ seed, left: [] })
      }
      await expectCleanAfterOpen()
    },
  )

  test('the same on the bridge: its links and rules go too', async () => {
    // The bridge itself, its table and its forwarding stay for the next container; they are made before.
    const first = startChild(2, 'bridge')
    await someMoment(first, 0)
    await sleep(1500)
    process.kill(first.pid!, 'SIGKILL')
    await once(first, 'exit')
    await sleep(500)
    for (let seed = 1; seed <= Math.ceil(moments / 4); seed++) {
      const parts = [...atOnce, 'links', 'firewall'] as const
      const before = await readHostTables({ parts })
      const child = startChild(seed, 'bridge')
      await someMoment(child, seed)
      process.kill(child.pid!, 'SIGKILL')
      await once(child, 'exit')
      expect({ seed, left: await ourLeaks(before, parts) }).toEqual({ seed, left: [] })
    }
    await expectCleanAfterOpen()
  })

  test('its guard alone: another one takes its place, and the engine’s death still takes everything along', async () => {
    const before = await readHostTables({ parts: atOnce })
    const child = startChild(3, 'none')
    await someMoment(child, 1)
    await sleep(500)
    for (const guard of guardsOf(child.pid!)) process.kill(guard, 'SIGKILL')
    await sleep(500)
    process.kill(child.pid!, 'SIGKILL')
    await once(child, 'exit')
    expect(await ourLeaks(before, atOnce)).toEqual([])
    await expectCleanAfterOpen()
  })

  test('engine and guard together: the next open ends what is left', async () => {
    for (let seed = 1; seed <= Math.ceil(moments / 8); seed++) {
      const before = await readHostTables({ parts: atOnce })
      const child = startChild(seed, 'none')
      await someMoment(child, seed)
      await sleep(200)
      for (const guard of guardsOf(child.pid!)) process.kill(guard, 'SIGKILL')
      process.kill(child.pid!, 'SIGKILL')
      await once(child, 'exit')
      await expectCleanAfterOpen()
      expect({ seed, left: await ourLeaks(before, atOnce) }).toEqual({ seed, left: [] })
    }
  })
})

/** What is left of ours: other programs of the machine come and go as they like. */
async function ourLeaks(before: HostTables, parts: readonly HostTable[]): Promise<readonly string[]> {
  const deadline = Date.now() + 5000
  for (;;) {
    const left = newSince(before, await readHostTables({ parts })).filter(isOurs)
    if (left.length === 0 || Date.now() > deadline) return left
    await sleep(10)
  }
}

function isOurs(line: string): boolean {
  const [table, pid] = line.split(' ')
  if (table === 'mounts') return line.includes(fixture.root) || line.endsWith('overlay overlay')
  if (table !== 'processes') return table !== 'namespaces' || line.includes('net:')
  try {
    const facts = ['environ', 'cmdline', 'cgroup'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'latin1')).join()
    return /TSCONTAINER_ENGINE|tscontainer-guard|\/tscontainer\//.test(facts) || facts.includes(fixture.root)
  } catch {
    return false
  }
}

/** Another engine opens the root: no record, no tree and no cgroup of the dead is left. */
async function expectCleanAfterOpen(): Promise<void> {
  await using engine = await fixture.open()
  expect(await Array.fromAsync(engine.containers.list())).toEqual([])
  expect((await engine.check()).problems).toEqual([])
  expect(readdirSync(join(fixture.root, 'containers'))).toEqual([])
  const { owners } = await engine.info()
  expect(owners.map(({ pid }) => pid)).toEqual([process.pid])
}
