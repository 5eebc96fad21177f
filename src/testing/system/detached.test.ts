import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Container, Engine } from '../../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'

const execute = promisify(execFile)
const monitorDeaths = process.env['TSCONTAINER_FULL'] === '1' ? 200 : 10

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
  await waitFor('the monitor leaves', async () => (await monitors()).length === 0)
  await engine[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

async function waitFor(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000
  while (Date.now() < deadline) {
    if (await check()) return
    await sleep(25)
  }
  throw new Error(`waited in vain: ${what}`)
}

/** Pids of the monitors of this root. */
async function monitors(): Promise<number[]> {
  return (await engine.info()).owners.filter(({ role }) => role === 'monitor').map(({ pid }) => pid)
}

const run = (script: string, spec: object = {}): Promise<Container> =>
  engine.containers.run({
    image: imageName,
    lifetime: 'detached',
    networks: 'none',
    stopTimeout: 200,
    command: ['sh', '-c', script],
    ...spec,
  })

const lines = async (container: Container): Promise<string[]> => {
  const texts: string[] = []
  for await (const { text } of container.logs()) texts.push(text)
  return texts
}

describe('detached containers', () => {
  test('a process with nothing else to do stays until the container that it removes is gone', async () => {
    const { root } = await engine.info()
    const spec = { image: imageName, lifetime: 'detached', networks: 'none', command: ['sleep', '1000'] }
    const script = `
      import { Engine } from ${JSON.stringify(join(import.meta.dirname, '../../index.ts'))}
      await using engine = await Engine.open({ root: ${JSON.stringify(root)} })
      const container = await engine.containers.run(${JSON.stringify(spec)})
      await container.remove({ force: true })
      console.log('removed')`
    const args = ['--conditions=tscontainer-source', '--input-type=module', '--eval', script]
    const { stdout } = await execute(process.execPath, args)
    expect(stdout).toBe('removed\n')
  })

  test('a process with nothing else to do stays for what it waits for', async () => {
    const script = "trap 'exit 9' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"
    const { id } = (await run(script)).keep()
    const child = join(import.meta.dirname, 'lone-waits-child.ts')
    const { stdout } = await execute(process.execPath, [child, fixture.root, id])
    expect(stdout.split('\n')).toEqual(['exec 7', 'logs', 'wait 9', 'end', ''])
  })

  test('an attachment ends with its signal and with its engine, and then keeps no process alive', async () => {
    const { id } = (await run('while :; do echo line; sleep 0.01; done')).keep()
    const { root } = await engine.info()
    const script = `
      import { Engine } from ${JSON.stringify(join(import.meta.dirname, '../../index.ts'))}
      const engine = await Engine.open({ root: ${JSON.stringify(root)} })
      const container = await engine.containers.get(${JSON.stringify(id)})
      const read = async ({ stdout }) => {
        for await (const _ of stdout);
      }
      const aborted = await container.attach({ signal: AbortSignal.timeout(200) })
      await read(aborted).catch((error) => console.log(error.name, error.code))
      const left = read(await container.attach())
      await engine[Symbol.asyncDispose]()
      await left
      console.log('left')`
    const args = ['--conditions=tscontainer-source', '--input-type=module', '--eval', script]
    const { stdout } = await execute(process.execPath, args, { timeout: 20_000 })
    expect(stdout).toBe('AbortError call.aborted\nleft\n')
  })

  test('output that nobody reads does not hold up the other stream, and is there for a later reader', async () => {
    const count = 3_000_000
    const wait = 'while [ ! -e /go ]; do sleep 0.02; done'
    const fill = `head -c ${count} /dev/zero | tr '\\0' x >&2`
    const container = await run(`${wait}; ${fill}; for i in 1 2 3; do echo out $i; done`)
    const attached = await Promise.all(Array.from({ length: 5 }, () => container.attach()))
    await container.exec(['touch', '/go'])
    for (const { stdout } of attached) expect(await text(stdout)).toBe('out 1\nout 2\nout 3\n')
    expect(await container.wait()).toMatchObject({ exitCode: 0 })
    for (const { stderr } of attached.slice(1)) expect((await text(stderr)) === 'x'.repeat(count)).toBe(true)
    await attached[0]![Symbol.asyncDispose]()
  })

  test('attach with replay begins with what the log holds', async () => {
    const container = await run('echo before; while [ ! -e /go ]; do sleep 0.02; done; echo after')
    await waitFor('it is logged', async () => (await lines(container)).length === 1)
    await using replayed = await container.attach({ replay: true })
    await using plain = await container.attach()
    await container.exec(['touch', '/go'])
    expect(await text(replayed.stdout)).toBe('before\nafter\n')
    expect(await text(plain.stdout)).toBe('after\n')
  })

  test('run to their end in the monitor, which leaves when nothing is left', async () => {
    const container = await run('echo out; echo err >&2; exit 5')
    expect(await container.wait()).toMatchObject({ exitCode: 5 })
    expect((await lines(container)).sort()).toEqual(['err', 'out'])
    await container.remove()
    await waitFor('the monitor leaves', async () => (await monitors()).length === 0)
  })

  test('outlive the engine that started them', async () => {
    const other = await fixture.open()
    const started = await other.containers.run({
      image: imageName,
      lifetime: 'detached',
      networks: 'none',
      command: ['sh', '-c', 'for i in $(seq 1 20); do echo $i; sleep 0.05; done; exit 3'],
    })
    started.keep()
    await other[Symbol.asyncDispose]()
    const container = await engine.containers.get(started.id)
    expect((await container.inspect()).running).toBe(true)
    const followed: string[] = []
    for await (const { text } of container.logs({ follow: true })) followed.push(text)
    expect(followed).toEqual(Array.from({ length: 20 }, (_, i) => String(i + 1)))
    expect(await container.wait()).toMatchObject({ exitCode: 3 })
  })

  test('exec, kill, attach and stop from any process', async () => {
    const container = await run('while read line; do echo got $line; done; exit 4', { stdin: true })
    expect((await container.exec(['echo', 'hi'])).stdout).toBe('hi\n')
    await using streams = await container.attach()
    streams.stdin!.write('one\n')
    await waitFor('the line is logged', async () => (await lines(container)).includes('got one'))
    streams.stdin!.end()
    expect(await container.wait()).toMatchObject({ exitCode: 4 })
    const sleeper = await run('sleep 100')
    expect(await sleeper.stop()).toMatchObject({ exitCode: 137 })
  })

  test('a failed start says why and leaves the container as it was', async () => {
    await expect(
      engine.containers.run({ image: imageName, lifetime: 'detached', networks: 'none', command: ['/nope'] }),
    ).rejects.toMatchObject({
      code: 'runtime.command_not_found',
    })
  })

  test('SIGKILL of the monitor, again and again, loses no line and no exit code', async () => {
    const container = await run('i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; sleep 0.01; done; exit 9')
    for (let round = 0; round < monitorDeaths; round++) {
      await sleep((round * 7919) % 300)
      const [monitor] = await monitors()
      process.kill(monitor!, 'SIGKILL')
      await waitFor('another monitor', async () => {
        const [now] = await monitors()
        return now !== undefined && now !== monitor
      })
    }
    await container.exec(['touch', '/stop'])
    expect(await container.wait()).toMatchObject({ exitCode: 9 })
    const seen = await lines(container)
    expect(seen.length).toBeGreaterThan(monitorDeaths)
    expect(seen).toEqual(Array.from(seen, (_, i) => String(i + 1)))
  })

  test('SIGKILL of monitor and watcher: the next engine starts a monitor that adopts', async () => {
    const container = await run('for i in $(seq 1 100); do echo $i; sleep 0.02; done; exit 7')
    await sleep(200)
    const [monitor] = await monitors()
    for (const pid of watchers()) process.kill(pid, 'SIGKILL')
    process.kill(monitor!, 'SIGKILL')
    await waitFor('the monitor is gone', async () => (await monitors()).length === 0)
    await using other = await fixture.open()
    const adopted = await other.containers.get(container.id)
    expect(await adopted.wait()).toMatchObject({ exitCode: 7 })
    expect(await lines(adopted)).toEqual(Array.from({ length: 100 }, (_, i) => String(i + 1)))
  })

  test('one that ended while nobody held it is settled with its own status', async () => {
    const container = await run('sleep 0.5; echo last; exit 11')
    const [monitor] = await monitors()
    for (const pid of watchers()) process.kill(pid, 'SIGKILL')
    process.kill(monitor!, 'SIGKILL')
    await sleep(1200)
    await using other = await fixture.open()
    const found = await other.containers.get(container.id)
    expect(await found.wait()).toMatchObject({ exitCode: 11 })
    expect(await lines(found)).toEqual(['last'])
  })
})

/** The sleeping shells that would start this root's monitor again. */
const watchers = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const command = commandOf(pid)
      return command.includes('tscontainer-watcher') && command.includes(fixture.root)
    })

function commandOf(pid: number): string {
  try {
    return readFileSync(join('/proc', String(pid), 'cmdline'), 'utf8')
  } catch {
    return ''
  }
}
