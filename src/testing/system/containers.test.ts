import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Container, type ContainerSpec, type Engine, isEngineError, type LogEntry } from '../../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'

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
  await engine[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

type Spec = Omit<ContainerSpec, 'image'>

const run = (command: readonly string[], spec: Spec = {}): Promise<Container> =>
  engine.containers.run({ image: imageName, networks: 'none', stopTimeout: 200, command, ...spec })

const shell = (script: string, spec: Spec = {}) => run(['sh', '-c', script], spec)

/** Output of a container that ran to its end. */
async function outputOf(
  script: string,
  spec: Spec = {},
): Promise<{ stdout: string; stderr: string; exitCode: number }> {
  const entries: LogEntry[] = []
  const container = await shell(script, { ...spec, onLog: (entry) => entries.push(entry) })
  const { exitCode } = await container.wait()
  await container.remove()
  const of = (stream: string) => entries.flatMap((entry) => (entry.stream === stream ? [entry.text] : [])).join('\n')
  return { stdout: of('stdout'), stderr: of('stderr'), exitCode }
}

async function failure(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await work
  } catch (error) {
    if (isEngineError(error)) return { code: error.code, message: error.message }
    throw error
  }
  throw new Error('it did not fail')
}

describe('exit statuses', () => {
  test('the program’s own code', async () => {
    await using container = await shell('exit 42')
    expect(await container.wait()).toMatchObject({ exitCode: 42, signal: null, oomKilled: false })
    expect((await container.inspect()).status).toBe('exited')
  })

  test('128 + n for a signal', async () => {
    await using container = await shell("sh -c 'kill -9 $$'; exit $?")
    expect((await container.wait()).exitCode).toBe(137)
  })

  test('127 and nothing left for a missing program', async () => {
    expect((await failure(run(['/no/such/program']))).code).toBe('runtime.command_not_found')
    expect(await Array.fromAsync(engine.containers.list())).toEqual([])
    const container = await engine.containers.create({ image: imageName, command: ['nope'], networks: 'none' })
    await failure(container.start())
    expect((await container.inspect()).exit?.exitCode).toBe(127)
  })

  test('126 for a file that is no program', async () => {
    const container = await engine.containers.create({ image: imageName, command: ['/etc/passwd'], networks: 'none' })
    expect((await failure(container.start())).code).toBe('runtime.command_not_executable')
    expect((await container.inspect()).exit?.exitCode).toBe(126)
  })

  test('a container that was out of memory says so', async () => {
    await using container = await shell('x=a; while :; do x=$x$x; done', {
      resources: { memory: '16m', memorySwap: '16m' },
    })
    expect(await container.wait()).toMatchObject({ exitCode: 137, oomKilled: true })
  })
})

describe('what a program sees', () => {
  test('environment, user, working directory, host name', async () => {
    const { stdout } = await outputOf('echo $A-$B; id -u; id -g; pwd; hostname; test -d /made/for/me && echo there', {
      env: { A: 'one', B: 'two' },
      user: 'nobody',
      workdir: '/made/for/me',
      hostname: 'box',
    })
    expect(stdout.split('\n')).toEqual(['one-two', '65534', '65534', '/made/for/me', 'box', 'there'])
  })

  test('an unknown user is refused by name', async () => {
    const { code, message } = await failure(run(['true'], { user: 'nosuch' }))
    expect(code).toBe('runtime.bad_user')
    expect(message).toContain('nosuch')
  })

  test('bind and tmpfs mounts, read-only where asked', async () => {
    const source = join(fixture.directory, 'bound')
    mkdirSync(source)
    writeFileSync(join(source, 'file'), 'from the host')
    const { stdout } = await outputOf(
      'cat /in/file; echo; echo x > /in/other || echo refused; echo y > /tmpfs/z && grep " /tmpfs " /proc/mounts | cut -d" " -f3',
      {
        mounts: [
          { type: 'bind', source, target: '/in', readOnly: true },
          { type: 'tmpfs', target: '/tmpfs' },
        ],
      },
    )
    expect(stdout.split('\n')).toEqual(['from the host', 'refused', 'tmpfs'])
    expect(existsSync(join(source, 'other'))).toBe(false)
  })

  test('a read-only root', async () => {
    expect((await outputOf('touch /x', { readOnly: true })).exitCode).not.toBe(0)
  })

  test('limits', async () => {
    const { stdout } = await outputOf(
      'ulimit -n; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max',
      {
        ulimits: { nofile: 123 },
        resources: { memory: '64m', pids: 17 },
      },
    )
    expect(stdout.split('\n')).toEqual(['123', String(64 << 20), '17'])
  })

  test('seccomp and few capabilities', async () => {
    const { stdout } = await outputOf('grep -E "^(Seccomp|CapEff):" /proc/self/status')
    expect(stdout).toContain('Seccomp:\t2')
    expect(stdout).toContain('CapEff:\t00000000a80425fb')
  })

  test('network none has loopback only; host has the host’s links', async () => {
    expect((await outputOf('ls /sys/class/net')).stdout).toBe('lo')
    const host = await outputOf('ls /sys/class/net', { networks: 'host' })
    expect(host.stdout.split('\n').length).toBeGreaterThan(1)
  })

  test('containers on the bridge reach each other and the host', async () => {
    const server = await shell('echo served > /tmp/index.html; httpd -f -p 80 -h /tmp', { networks: ['bridge'] })
    const [endpoint] = (await server.inspect()).networks
    const address = endpoint!.addresses[0]!.split('/')[0]!
    const { stdout } = await outputOf(
      `for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://${address}/ && break; sleep 0.1; done; cat /etc/hosts | grep -c ${'$'}(hostname)`,
      { networks: ['bridge'] },
    )
    expect(stdout.split('\n')).toEqual(['served', '1'])
    const fromHost = await fetch(`http://${address}/index.html`)
    expect(await fromHost.text()).toBe('served\n')
  })
})

describe('output', () => {
  test('every line of both streams, from the first byte', async () => {
    const lines: string[] = []
    const container = await shell('for i in $(seq 1 500); do echo out$i; echo err$i >&2; done; printf unfinished', {
      onLog: ({ stream, text }) => lines.push(`${stream}:${text}`),
    })
    await container.wait()
    expect(lines.filter((line) => line.startsWith('stdout'))).toEqual([
      ...Array.from({ length: 500 }, (_, i) => `stdout:out${i + 1}`),
      'stdout:unfinished',
    ])
    const stored = await Array.fromAsync(container.logs({ tail: 2 }))
    expect(stored.length).toBe(2)
    expect((await Array.fromAsync(container.logs())).length).toBe(1001)
    await container.remove()
  })

  test('a follower sees the lines as they come and ends with the container', async () => {
    await using container = await shell('for i in 1 2 3; do echo line$i; sleep 0.1; done')
    const seen: string[] = []
    for await (const entry of container.logs({ follow: true })) seen.push(entry.text)
    expect(seen).toEqual(['line1', 'line2', 'line3'])
  })

  test('attach writes to standard input, byte-exact', async () => {
    await using container = await run(['cat'], { stdin: true })
    await using streams = await container.attach()
    const bytes = Buffer.from([0, 1, 2, 255, 10, 13, 10])
    const read = text(streams.stdout)
    streams.stdin!.end(bytes)
    expect(await container.wait()).toMatchObject({ exitCode: 0 })
    expect(await read).toBe(bytes.toString())
  })
})

describe('exec', () => {
  test('streams apart, code, user, environment, directory, input', async () => {
    await using container = await run(['sleep', '100'])
    const result = await container.exec(['sh', '-c', 'cat; echo $V; pwd; id -u; echo bad >&2; exit 9'], {
      env: { V: 'v' },
      workdir: '/tmp',
      user: '12:34',
      input: 'given\n',
    })
    expect(result).toMatchObject({ exitCode: 9, stdout: 'given\nv\n/tmp\n12\n', stderr: 'bad\n' })
  })

  test('large output is complete', async () => {
    await using container = await run(['sleep', '100'])
    const { bytes } = await container.exec(['sh', '-c', 'head -c 20000000 /dev/zero'])
    expect(bytes.stdout.length).toBe(20_000_000)
  })

  test('one process can be killed, the container goes on', async () => {
    await using container = await run(['sleep', '100'])
    const process = await container.spawn(['sleep', '50'])
    await process.kill('SIGKILL')
    expect((await process.wait()).exitCode).toBe(137)
    expect((await container.inspect()).running).toBe(true)
  })

  test('abort ends the process', async () => {
    await using container = await run(['sleep', '100'])
    const started = performance.now()
    await expect(container.exec(['sleep', '60'], { signal: AbortSignal.timeout(200) })).rejects.toMatchObject({
      name: 'AbortError',
    })
    expect(performance.now() - started).toBeLessThan(5000)
    const { stdout } = await container.exec(['ps'])
    expect(stdout).not.toContain('sleep 60')
  })

  test('a missing program and a stopped container are typed errors', async () => {
    const container = await run(['sleep', '100'])
    expect((await failure(container.exec(['/nope']))).code).toBe('runtime.command_not_found')
    await container.stop({ graceMs: 0 })
    expect((await failure(container.exec(['true']))).code).toBe('container.not_running')
  })
})

describe('states', () => {
  test('stop: the signal first, then SIGKILL', async () => {
    const polite = await shell('trap "echo bye; exit 3" TERM; while :; do sleep 0.1; done')
    await sleep(200)
    expect(await polite.stop()).toMatchObject({ exitCode: 3 })
    const stubborn = await shell('trap "" TERM; while :; do sleep 0.1; done')
    await sleep(200)
    expect(await stubborn.stop({ graceMs: 300 })).toMatchObject({ exitCode: 137 })
  })

  test('start again keeps the files', async () => {
    const container = await shell('echo x >> /count; cat /count | wc -l')
    await container.wait()
    await container.start()
    await container.wait()
    expect((await Array.fromAsync(container.logs())).map(({ text }) => text)).toEqual(['1', '2'])
  })

  test('names: generated, chosen, taken, renamed, prefixes', async () => {
    const first = await engine.containers.create({ image: imageName, name: 'first', command: ['true'] })
    expect((await engine.containers.get('first')).id).toBe(first.id)
    expect((await engine.containers.get(first.id.slice(0, 12))).id).toBe(first.id)
    expect((await failure(engine.containers.create({ image: imageName, name: 'first' }))).code).toBe(
      'container.name_taken',
    )
    await first.rename('second')
    expect(await engine.containers.find('first')).toBeNull()
    expect((await engine.containers.create({ image: imageName })).name).toMatch(/^[a-z]+_[a-z]+/)
    expect((await failure(engine.containers.get('third'))).code).toBe('container.not_found')
  })

  test('list filters', async () => {
    await engine.containers.create({ image: imageName, labels: { a: '1' }, command: ['true'] })
    await run(['sleep', '100'], { labels: { a: '2' } })
    const count = async (filter: Parameters<typeof engine.containers.list>[0]) =>
      (await Array.fromAsync(engine.containers.list(filter))).length
    expect(await count({ labels: { a: undefined } })).toBe(2)
    expect(await count({ labels: { a: '2' } })).toBe(1)
    expect(await count({ status: 'running' })).toBe(1)
    expect(await count({ status: ['created', 'running'] })).toBe(2)
  })

  test('remove: refused while running, forced, idempotent', async () => {
    const container = await run(['sleep', '100'])
    expect((await failure(container.remove())).code).toBe('container.running')
    await container.remove({ force: true })
    await container.remove()
    expect(await engine.containers.find(container.id)).toBeNull()
  })

  test('pause holds every process', async () => {
    await using container = await shell('i=0; while :; do i=$((i+1)); echo $i > /tmp/i; done')
    await sleep(200)
    await container.pause()
    const { pid } = await container.inspect()
    const count = () => readFileSync(`/proc/${pid}/root/tmp/i`, 'utf8')
    const frozen = count()
    await sleep(200)
    expect(count()).toBe(frozen)
    await container.unpause()
  })

  test('auto-removal', async () => {
    const container = await run(['true'], { autoRemove: true })
    await container.wait({ until: 'removed' })
    expect(await engine.containers.find(container.id)).toBeNull()
  })

  test('events tell the whole story in order', async () => {
    const events = engine.events({ types: ['container'], signal: AbortSignal.timeout(20_000) })
    const story = (async () => {
      const actions: string[] = []
      for await (const event of events) {
        actions.push(event.action)
        if (event.action === 'destroy') break
      }
      return actions
    })()
    await sleep(50)
    const container = await run(['true'])
    await container.wait()
    await container.remove()
    expect(await story).toEqual(['create', 'start', 'die', 'destroy'])
  })
})

describe('bad input', () => {
  const cases: [string, object, string][] = [
    ['an unknown key', { comand: ['true'] }, 'call.unknown_option'],
    ['an option of a later version', { tty: true }, 'container.unsupported_option'],
    ['a missing image', { image: 'nosuch:image' }, 'image.not_found'],
    ['a bad name', { name: '!' }, 'container.bad_name'],
    ['a relative mount target', { mounts: [{ type: 'tmpfs', target: 'x' }] }, 'container.bad_spec'],
    [
      'a missing mount source',
      { mounts: [{ type: 'bind', source: '/no/such', target: '/x' }] },
      'container.mount_source_missing',
    ],
    ['too little memory', { resources: { memory: 5 } }, 'runtime.bad_resource'],
    ['an unknown resource', { resources: { memroy: '5g' } }, 'runtime.bad_resource'],
    ['an unknown log driver', { log: { driver: 'nosuch' } }, 'engine.unknown_driver'],
    ['an unknown signal', { stopSignal: 'SIGNOPE' }, 'runtime.bad_signal'],
    ['no words', { command: 'true' }, 'container.bad_spec'],
  ]
  test.each(cases)('%s', async (_name, spec, code) => {
    const { code: actual, message } = await failure(
      engine.containers.create({ image: imageName, ...(spec as Partial<ContainerSpec>) }),
    )
    expect(actual).toBe(code)
    expect(message.length).toBeGreaterThan(20)
    expect(await Array.fromAsync(engine.containers.list())).toEqual([])
  })
})
