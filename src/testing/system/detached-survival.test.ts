import { existsSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Container, Engine } from '../../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'
import { waitFor } from './detached-client.ts'
import { OwnTables } from './own-tables.ts'

let fixture: BusyboxRoot
let engine: Engine
let own: OwnTables

beforeAll(async () => {
  fixture = await busyboxRoot()
  engine = await fixture.open()
  own = new OwnTables(fixture.root, (await engine.info()).rootId)
})

afterEach(async () => {
  for await (const container of engine.containers.list()) await container.remove({ force: true })
})

afterAll(async () => {
  await waitFor('the monitor leaves', async () => (await monitors()).length === 0)
  await engine[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

const monitors = async (): Promise<number[]> =>
  (await engine.info()).owners.filter(({ role }) => role === 'monitor').map(({ pid }) => pid)

const keepers = () => own.processesNamed('tscontainer-keeper')

const run = (script: string, spec: object = {}): Promise<Container> =>
  engine.containers.run({
    image: imageName,
    lifetime: 'detached',
    networks: 'none',
    stopTimeout: 200,
    command: ['sh', '-c', script],
    ...spec,
  })

async function lines(container: Container): Promise<string[]> {
  const texts: string[] = []
  for await (const { text } of container.logs()) texts.push(text)
  return texts
}

/** Kills the monitor and waits for the one that its watcher starts. */
async function replaceMonitor(): Promise<void> {
  const [old] = await monitors()
  process.kill(old!, 'SIGKILL')
  await waitFor('another monitor', async () => (await monitors()).some((pid) => pid !== old))
}

async function killMonitorAndWatcher(): Promise<void> {
  const [monitor] = await monitors()
  for (const pid of own.processesNamed('tscontainer-watcher')) process.kill(pid, 'SIGKILL')
  process.kill(monitor!, 'SIGKILL')
  await waitFor('the monitor is gone', async () => !(await monitors()).includes(monitor!))
}

describe('standard input of a detached container', () => {
  const echo = 'while read -r line; do echo got $line; done; echo end; exit 4'

  test('stays open when its monitor is killed, and takes what is written later', async () => {
    const container = await run(echo, { stdin: true })
    {
      await using streams = await container.attach()
      await write(streams.stdin!, 'one\n')
    }
    for (const word of ['two', 'three']) {
      await replaceMonitor()
      await using streams = await container.attach()
      await write(streams.stdin!, `${word}\n`)
    }
    await waitFor('all is read', async () => (await lines(container)).length === 3)
    expect(await lines(container)).toEqual(['got one', 'got two', 'got three'])
    await using streams = await container.attach()
    streams.stdin!.end()
    expect(await container.wait()).toMatchObject({ exitCode: 4 })
    expect((await lines(container)).at(-1)).toBe('end')
  })

  test('an end that was given holds for the next monitor', async () => {
    // It reads only when it is told to, long after the end.
    const container = await run(`while [ ! -e /go ]; do sleep 0.05; done; ${echo}`, { stdin: true })
    {
      await using streams = await container.attach()
      await write(streams.stdin!, 'early\n')
      await new Promise<void>((resolve) => streams.stdin!.end(() => resolve()))
    }
    await replaceMonitor()
    {
      // Dropped, as after any end.
      await using streams = await container.attach()
      await write(streams.stdin!, 'late\n')
    }
    await container.exec(['touch', '/go'])
    expect(await container.wait()).toMatchObject({ exitCode: 4 })
    expect(await lines(container)).toEqual(['got early', 'end'])
  })

  test('a write is done when the program’s pipe has it: one under way when the monitor dies is refused', async () => {
    const container = await run('sleep 100', { stdin: true })
    await using streams = await container.attach()
    const failed = new Promise<unknown>((resolve) => streams.stdin!.once('error', resolve))
    streams.stdin!.write(Buffer.alloc(1 << 20))
    await sleep(200)
    await replaceMonitor()
    expect(await failed).toMatchObject({ code: 'holder.lost', retryable: true })
  })

  test('what a program does not read is no obstacle to its end', async () => {
    const container = await run('sleep 0.3; exit 6', { stdin: true })
    await using streams = await container.attach()
    streams.stdin!.on('error', () => {})
    streams.stdin!.write(Buffer.alloc(1 << 20))
    expect(await container.wait()).toMatchObject({ exitCode: 6 })
  })

  test('a container that is started again reads what is new only', async () => {
    const container = await run('read -r line; echo got $line', { stdin: true })
    for (const word of ['first', 'second']) {
      await container.start()
      await using streams = await container.attach()
      await write(streams.stdin!, `${word}\nignored\n`)
      await container.wait()
    }
    expect(await lines(container)).toEqual(['got first', 'got second'])
  })
})

describe('monitor and watcher killed together', () => {
  test('a container that fills its pipes goes on: its keeper starts a monitor', async () => {
    const count = 400_000
    const container = await run(`while [ ! -e /go ]; do sleep 0.05; done; seq 1 ${count}; exit 3`)
    const [pid] = [(await container.inspect()).pid!]
    await killMonitorAndWatcher()
    // By hand: an engine would start a monitor for an exec or a wait.
    writeFileSync(`/proc/${pid}/root/go`, '')
    await waitFor('its end', async () => (await container.inspect()).status === 'exited')
    expect(await container.wait()).toMatchObject({ exitCode: 3 })
    const seen = await lines(container)
    expect(seen.length).toBe(count)
    expect(seen.every((text, index) => text === String(index + 1))).toBe(true)
  })

  test('one monitor comes back for many containers, however often', async () => {
    const containers = await Promise.all([1, 2, 3, 4].map((code) => run(`trap 'exit ${code}' TERM; sleep 100 & wait`)))
    for (let round = 0; round < 3; round++) {
      await killMonitorAndWatcher()
      await waitFor('a monitor', async () => (await monitors()).length === 1)
      await waitFor('it holds them', async () => existsSync(join(fixture.root, 'run/monitor.sock')))
      await sleep(300)
    }
    expect(await monitors()).toHaveLength(1)
    expect(keepers()).toHaveLength(containers.length)
    for (const [index, container] of containers.entries())
      expect(await container.stop({ graceMs: 5000 })).toMatchObject({ exitCode: index + 1 })
    await waitFor('the keepers leave', () => keepers().length === 0)
  })
})

describe('a container that was taken over', () => {
  test('takes every verb of a new engine, and has its network and limits still', async () => {
    const script = "trap 'echo told; exit 8' USR1; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"
    const { id } = await run(script, { networks: ['bridge'], resources: { memory: '64m', pids: 50 } })
    await replaceMonitor()
    await using other = await fixture.open()
    const container = await other.containers.get(id)
    const { pid, running } = await container.inspect()
    expect(running).toBe(true)
    // Its place on the bridge, the gateway's answer, its limits.
    const address = await container.exec(['ip', '-4', 'addr', 'show', 'eth0'])
    expect(address.stdout).toMatch(/inet \d+\.\d+\.\d+\.\d+/)
    const gateway = (await container.exec(['sh', '-c', "ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p'"]))
      .stdout
    expect(await container.exec(['ping', '-c', '1', '-W', '5', gateway.trim()])).toMatchObject({ exitCode: 0 })
    expect(limitsOf(pid!)).toEqual({ memory: String(64 << 20), pids: '50' })
    // Frozen and going on.
    await container.pause()
    expect((await container.inspect()).status).toBe('paused')
    await replaceMonitor()
    await container.unpause()
    // A follower sees what comes, from the first line to the last.
    const followed: string[] = []
    const following = (async () => {
      for await (const { text } of container.logs({ follow: true })) followed.push(text)
    })()
    await waitFor('lines', () => followed.length > 10)
    await container.kill('USR1')
    expect(await container.wait()).toMatchObject({ exitCode: 8 })
    await following
    expect(followed.at(-1)).toBe('told')
    expect(followed.slice(0, -1)).toEqual(Array.from({ length: followed.length - 1 }, (_, index) => String(index + 1)))
    await container.start()
    await replaceMonitor()
    expect(await container.stop({ graceMs: 100 })).toMatchObject({ exitCode: 137 })
    await container.remove()
    expect(await Array.fromAsync(other.containers.list())).toEqual([])
    expect(own.links().filter((name) => !name.startsWith('tscbr'))).toEqual([])
  })
})

/** As the kernel has them, on either version of cgroups. */
function limitsOf(pid: number): { memory: string; pids: string } {
  const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n')
  const read = (controller: string, names: readonly string[]): string => {
    const line = groups.find((group) => group.split(':')[1]!.split(',').includes(controller)) ?? groups.at(-1)!
    const [, controllers, path] = line.split(':')
    const file = names.map((name) => join('/sys/fs/cgroup', controllers!, path!, name)).find((name) => existsSync(name))
    return readFileSync(file!, 'utf8').trim()
  }
  return {
    memory: read('memory', ['memory.limit_in_bytes', 'memory.max']),
    pids: read('pids', ['pids.max']),
  }
}

describe('what is left of detached containers', () => {
  test('nothing when they have ended: no keeper, no wrapper', async () => {
    const container = await run('exit 0', { stdin: true })
    await container.wait()
    await waitFor('the keeper leaves', () => keepers().length === 0)
    await waitFor('the wrapper leaves', () => own.processesNamed('tscontainer-wait').length === 0)
  })

  test('a killed watcher is replaced', async () => {
    await run('sleep 100')
    const [first] = await waitFor('a watcher', () => watchers())
    process.kill(first!, 'SIGKILL')
    const [second] = await waitFor('another watcher', () => watchers((pid) => pid !== first))
    await replaceMonitor()
    await waitFor('a third watcher', () => watchers((pid) => pid !== second))
  })

  test('a root that was deleted without a word: containers end with the next collection, keepers and wrappers with them', async () => {
    const other = await abandon('deleted')
    await sleep(300)
    // Nothing of it can be reached any more, but it runs on.
    expect(other.tables.processesNamed('sleep').length).toBeGreaterThan(0)
    await engine.gc()
    await waitFor('all of it is gone', () => other.tables.processes().length === 0)
    removeRuntimeState(other)
  })

  test('one that was moved is left alone', async () => {
    const other = await abandon('moved')
    await engine.gc()
    expect(other.tables.processesNamed('sleep').length).toBeGreaterThan(0)
    rmSync(`${other.directory}.moved`, { recursive: true, force: true })
    await engine.gc()
    await waitFor('all of it is gone', () => other.tables.processes().length === 0)
    removeRuntimeState(other)
  })
})

/** crun makes the directory of its state anew when a container ends whose root was deleted; nothing else is there. */
function removeRuntimeState({ directory }: { readonly directory: string }): void {
  const state = join(directory, 'root/run/drivers/runtime/oci-cli/state')
  if (existsSync(state)) for (let path = state; path !== dirname(directory); path = dirname(path)) rmdirSync(path)
}

/** A root with a detached container whose monitor and watcher are dead, deleted or moved away. */
async function abandon(how: 'deleted' | 'moved'): Promise<{ directory: string; tables: OwnTables }> {
  const other = await busyboxRoot()
  const abandoned = await other.open()
  const tables = new OwnTables(other.root, (await abandoned.info()).rootId)
  const container = await abandoned.containers.run({
    image: imageName,
    lifetime: 'detached',
    networks: 'none',
    command: ['sleep', '1000'],
  })
  container.keep()
  const { owners } = await abandoned.info()
  await abandoned[Symbol.asyncDispose]()
  tables.note()
  for (const pid of tables.processesNamed('tscontainer-watcher')) process.kill(pid, 'SIGKILL')
  for (const { role, pid } of owners) if (role === 'monitor') process.kill(pid, 'SIGKILL')
  if (how === 'moved') renameSync(other.directory, `${other.directory}.moved`)
  else rmSync(other.directory, { recursive: true, force: true })
  return { directory: other.directory, tables }
}

const watchers = (which: (pid: number) => boolean = () => true): number[] | null => {
  const found = own.processesNamed('tscontainer-watcher').filter(which)
  return found.length > 0 ? found : null
}

const write = (stream: NodeJS.WritableStream, text: string) =>
  new Promise<void>((resolve, reject) => stream.write(text, (error) => (error ? reject(error) : resolve())))
