import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HostTable, type HostTables, readHostTables } from '../index.ts'
import { type BusyboxRoot, busyboxRoot } from './busybox-engine.ts'
import { DetachedClient, waitFor } from './detached-client.ts'
import { OwnTables } from './own-tables.ts'
import { moments, momentsTimeout, randomNumbers } from './random-moments.ts'

/** After so many deaths everything is looked at. */
const batch = 20
const everything: readonly HostTable[] = [
  'processes',
  'mounts',
  'links',
  'namespaces',
  'firewall',
  'cgroups',
  'loopDevices',
  'mapperDevices',
  'files',
]

/** A detached container whose lines and exit code are known. */
interface Story {
  readonly id: string
  /** Null: as many as it comes to. */
  readonly lines: number | null
  readonly code: number
}

let fixture: BusyboxRoot
let client: DetachedClient
let own: OwnTables
let before: HostTables

beforeAll(async () => {
  fixture = await busyboxRoot()
  {
    await using engine = await fixture.open()
    own = new OwnTables(fixture.root, (await engine.info()).rootId)
  }
  client = await DetachedClient.open(fixture.root)
  own.leaveOut(client.child.pid!)
  own.note()
  before = await readHostTables({ parts: everything, directories: [join(fixture.root, 'containers')] })
})

afterAll(async () => {
  await client[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

/** Writes a numbered line to each stream until it is stopped. */
async function startWriter(code: number): Promise<Story> {
  const loop = 'i=0; while :; do i=$((i+1)); echo $i; echo $i >&2; sleep 0.03; done'
  return { id: await client.run(`trap 'exit ${code}' TERM; ${loop}`), lines: null, code }
}

/** Ends by itself, somewhere among the deaths. That its monitor is killed at the start is nothing the caller sees. */
async function startShort(lines: number, code: number): Promise<Story> {
  const script = `for i in $(seq 1 ${lines}); do echo $i; echo $i >&2; sleep 0.02; done; exit ${code}`
  return { id: await client.run(script), lines, code }
}

/** Every line of both streams is there, once and in order, and the exit code is the program's own. */
async function expectWhole({ id, lines, code }: Story): Promise<void> {
  expect(await client.wait(id)).toMatchObject({ exitCode: code, oomKilled: false })
  const { stdout, stderr } = await client.lines(id)
  const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1))
  expect(stdout).toEqual(numbers(lines ?? stdout.length))
  expect(stderr).toEqual(numbers(lines ?? stderr.length))
  expect(Math.abs(stdout.length - stderr.length)).toBeLessThan(2)
  if (lines === null) expect(stdout.length).toBeGreaterThan(0)
  await client.remove(id)
}

/** Exactly one monitor with one watcher, and one keeper for each container that runs. */
async function expectOneOfEach(running: number): Promise<void> {
  const count = async () => ({
    monitors: (await client.monitors()).length,
    watchers: own.processesNamed('tscontainer-watcher').length,
    keepers: own.processesNamed('tscontainer-keeper').length,
  })
  const wanted = { monitors: 1, watchers: 1, keepers: running }
  await waitFor('one of each', async () => JSON.stringify(await count()) === JSON.stringify(wanted)).catch(() => {})
  expect(await count()).toEqual(wanted)
}

async function expectNothingLeft(): Promise<void> {
  expect(await client.list()).toEqual([])
  await waitFor('the monitor leaves', async () => (await client.monitors()).length === 0)
  own.note()
  expect(await own.leaks(before, everything)).toEqual([])
}

function killWatchers(): void {
  for (const pid of own.processesNamed('tscontainer-watcher')) killIfThere(pid)
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

const deaths = [
  ['the monitor', async () => killIfThere(await client.monitor())],
  [
    'its watcher',
    async () => {
      await waitFor('a watcher', () => own.processesNamed('tscontainer-watcher').length > 0)
      killWatchers()
    },
  ],
  [
    'monitor and watcher together',
    async (seed: number) => {
      const monitor = await client.monitor()
      killWatchers()
      killIfThere(monitor)
      // Else it is left to the containers' keepers.
      if (seed % batch > 0) await client.reopen()
    },
  ],
] as const

describe('SIGKILL at random moments beside detached containers', () => {
  test.each(deaths)(
    '%s: no line and no exit code is lost, nothing is left',
    { timeout: momentsTimeout },
    async (_, kill) => {
      const writers = [await startWriter(1), await startWriter(2)]
      let shorts: Promise<Story>[] = []
      for (let seed = 1; seed <= moments; seed++) {
        const random = randomNumbers(seed)
        if (seed % 4 === 0) {
          const short = startShort(1 + random(15), random(100))
          short.catch(() => {})
          shorts.push(short)
        }
        await sleep(random(300))
        await kill(seed)
        if (seed % batch > 0) continue
        for (const story of await Promise.all(shorts)) await expectWhole(story)
        shorts = []
        await expectOneOfEach(writers.length)
        const oldest = writers.shift()!
        expect(await client.stop(oldest.id)).toMatchObject({ exitCode: oldest.code })
        await expectWhole(oldest)
        writers.push(await startWriter(seed % 100))
      }
      for (const writer of writers) {
        await client.stop(writer.id)
        await expectWhole(writer)
      }
      await expectNothingLeft()
    },
  )

  test('an engine’s process and the monitor together: `process` containers go at once, detached ones stay', {
    timeout: momentsTimeout,
  }, async () => {
    let writer = await startWriter(3)
    for (let seed = 1; seed <= moments; seed++) {
      const { child, stories } = startChurn(seed)
      await waitFor('the engine is open', () => stories.open)
      own.note()
      const owner = own.ownerOf(child.pid!)
      await sleep(randomNumbers(seed)(250))
      const monitor = await client.monitor()
      child.kill('SIGKILL')
      killIfThere(monitor)
      await once(child, 'close')
      await waitFor('its programs are gone', () => own.processesOf(owner).length === 0)
      await client.reopen()
      for (const story of stories.detached) await expectWhole(story)
      if (seed % batch > 0) continue
      // What nobody acknowledged may have been made all the same.
      for (const id of await client.list()) if (id !== writer.id) await client.remove(id)
      await expectOneOfEach(1)
      await client.stop(writer.id)
      await expectWhole(writer)
      await expectNothingLeft()
      writer = await startWriter(seed % 100)
    }
    await client.stop(writer.id)
    await expectWhole(writer)
    await expectNothingLeft()
  })
})

/** An engine of its own with containers of both lifetimes, and what it has acknowledged so far. */
function startChurn(seed: number) {
  const file = join(import.meta.dirname, 'churn-child.ts')
  const child = spawn(process.execPath, [file, fixture.root, String(seed), 'none', 'both'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  const stories = { open: false, detached: [] as Story[] }
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const whole = (rest + text).split('\n')
    rest = whole.pop()!
    for (const line of whole) {
      const [what, id, lines, code] = line.split(' ')
      if (what === 'open') stories.open = true
      if (what === 'detached') stories.detached.push({ id: id!, lines: Number(lines), code: Number(code) })
    }
  })
  return { child, stories }
}
