import { execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LaunchRequest } from './launcher.ts'
import { createLauncher } from './launcher-client.ts'
import { endOf, failureOf, LauncherFixture, openDescriptors } from './launcher-fixture.ts'
import { readMountTable } from './mount-info.ts'

let fixture: LauncherFixture

beforeEach(() => {
  fixture = new LauncherFixture()
})
afterEach(() => fixture[Symbol.asyncDispose]())

describe('programs', () => {
  test('exit codes, signals, environment, directory, umask and session are as asked', async () => {
    expect(await fixture.shell('exit 7')).toMatchObject({ code: 7, signal: null })
    expect(await fixture.shell('kill -9 $$')).toMatchObject({ code: null, signal: 'SIGKILL' })
    const { output, pid } = await fixture.shell('umask; pwd; env; cut -d" " -f6 /proc/$$/stat', {
      env: { PATH: '/bin', A: 'b' },
    })
    const [mask, directory, ...rest] = output.trim().split('\n')
    expect(mask).toBe('0022')
    expect(directory).toBe('/')
    expect(rest.pop()).toBe(String(pid))
    expect(rest.filter((line) => !/^(_|PWD|SHLVL|OLDPWD)=/.test(line)).sort()).toEqual(['A=b', 'PATH=/bin'])
    expect((await fixture.shell('pwd', { cwd: fixture.scratch })).output.trim()).toBe(fixture.scratch)
  })

  test('inherit the given descriptors and no other', async () => {
    for (const name of ['in', 'secret']) writeFileSync(join(fixture.scratch, name), name)
    const fd = openSync(join(fixture.scratch, 'in'), 'r')
    const secret = openSync(join(fixture.scratch, 'secret'), 'r')
    const out = openSync(join(fixture.scratch, 'output'), 'w')
    const { output } = await fixture.shell('cat; cat <&3; ls -l /proc/$$/fd', { stdio: [fd, out, out, fd] })
    for (const number of [fd, secret, out]) closeSync(number)
    expect(output).toMatch(/^in/)
    expect(output).toContain(`3 -> ${fixture.scratch}/in`)
    // What whoever started us left open for every program is not ours to close; what we opened is.
    expect(output).not.toContain('secret')
    expect(output).not.toContain('mnt:[')
  })

  test('failures to start are typed and leave nothing', async () => {
    const request = { args: [], env: { PATH: '/bin' }, stdio: [], session: 'own' as const }
    const missing = await failureOf(fixture.launcher.launch({ ...request, file: 'no-such-program' }))
    expect(missing.code).toBe('host.program_missing')
    expect(missing.message).toContain('no-such-program')
    expect((await failureOf(fixture.launcher.launch({ ...request, file: '/etc/passwd' }))).kind).toBe(
      'permission_denied',
    )
    expect((await failureOf(fixture.launcher.launch({ ...request, file: 'true', cwd: '/nowhere' }))).kind).toBe(
      'not_found',
    )
    const badRoot = { target: '/nowhere', mounts: [{ type: 'tmpfs', source: 'tmpfs', options: [] }] }
    expect((await failureOf(fixture.launcher.launch({ ...request, file: 'true', root: badRoot }))).kind).toBe(
      'not_found',
    )
    expect((await fixture.shell('exit 0')).code).toBe(0)
  })

  test('abort kills a program that was started meanwhile, and rejects only then', async () => {
    const controller = new AbortController()
    const request: LaunchRequest = {
      file: 'sleep',
      args: ['12345.25'],
      env: { PATH: '/bin' },
      stdio: [],
      session: 'own',
    }
    const call = fixture.launcher.launch(request, { signal: controller.signal })
    controller.abort(new Error('changed my mind'))
    const error = await failureOf(call)
    expect(error.name).toBe('AbortError')
    expect(error.cause).toBe(controller.signal.reason)
    expect(execFileSync('sh', ['-c', 'grep -lz 12345.25 /proc/[0-9]*/cmdline || true']).toString()).not.toMatch(
      /proc\/(?!self)\d+\/cmdline\n.*sleep/,
    )
    expect((await failureOf(fixture.launcher.launch(request, { signal: controller.signal }))).kind).toBe('aborted')
  })
})

describe('the thread', () => {
  test('when it is lost, calls and exits settle, and the next call starts another', async () => {
    const entry = join(fixture.scratch, 'thread.mjs')
    writeFileSync(
      entry,
      `import { parentPort, workerData } from 'node:worker_threads'
      let calls = 0
      setInterval(() => Atomics.load(workerData.stop, 0) === 1 && process.exit(0), 5)
      parentPort.on('message', ({ id }) => {
        if (++calls > 1) throw new Error('broken on purpose')
        parentPort.postMessage({ id, result: { pid: 1 } })
      })`,
    )
    const other = createLauncher({
      diagnostics: (diagnostic) => fixture.told.push(diagnostic),
      entry: pathToFileURL(entry),
    })
    const request: LaunchRequest = { file: 'x', args: [], env: {}, stdio: [], session: 'own' }
    const first = await other.launch(request)
    const error = await failureOf(other.mount({ target: '/', mounts: [] }))
    expect(error).toMatchObject({ code: 'host.launcher_lost', retryable: true })
    expect(String((error.cause as Error).message)).toContain('broken on purpose')
    expect(await endOf(first)).toEqual({ code: null, signal: null })
    expect(fixture.told).toMatchObject([{ level: 'error', source: 'host.launcher' }])
    expect((await other.launch(request)).pid).toBe(1)
    await other[Symbol.asyncDispose]()
  })

  test('disposal frees every descriptor, twice is no error, use after it is refused', async () => {
    const other = createLauncher({ diagnostics: (diagnostic) => fixture.told.push(diagnostic) })
    const before = openDescriptors()
    await other.mount({ target: fixture.folder('target'), mounts: [fixture.overlay([fixture.folder('lower')])] })
    await other[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
    expect(openDescriptors()).toBe(before)
    expect((await failureOf(other.mount({ target: '/', mounts: [] }))).code).toBe('call.disposed')
    expect(fixture.told).toEqual([])
  })

  test('a hundred programs at once', async () => {
    const exits = await Promise.all(
      Array.from({ length: 100 }, async (_, n) => {
        const child = await fixture.launcher.launch({
          root: {
            target: fixture.folder(`t${n}`),
            mounts: [fixture.overlay([fixture.folder('lower', { file: 'x' })], `o${n}`)],
          },
          file: 'cat',
          args: [join(fixture.scratch, `t${n}`, 'file')],
          env: {},
          stdio: ['ignore', 'ignore', 'ignore'],
          session: 'own',
        })
        return endOf(child)
      }),
    )
    expect(exits.filter((exit) => exit.code !== 0)).toEqual([])
  })

  /** A program with a launcher of its own; the host's and this test's state stay out of it. */
  const program = (body: string) => {
    const source = `
      import { createLauncher } from '${import.meta.dirname}/launcher-client.ts'
      const launcher = createLauncher({ diagnostics: console.error })
      const sleep = (seconds) => launcher.launch({ file: 'sleep', args: [seconds], env: {}, stdio: [], session: 'own' })
      ${body}
    `
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const start = performance.now()
    return new Promise<{ code: number | null; signal: string | null; output: string; ms: number }>((resolve) => {
      let output = ''
      child.stdout.on('data', (data) => {
        output += data
      })
      child.once('close', (code, signal) => resolve({ code, signal, output, ms: performance.now() - start }))
    })
  }

  test('does not keep the process alive, unless a program is ref-ed', async () => {
    const idle = await program('const p = await sleep("60"); console.log(p.pid)')
    expect(idle.code).toBe(0)
    expect(idle.ms).toBeLessThan(30_000)
    const held = await program('const p = await sleep("0.3"); p.ref(); p.exited.then((e) => console.log(e.code))')
    expect(held).toMatchObject({ code: 0, output: '0\n' })
    const released = await program(
      'const p = await sleep("60"); p.ref(); p.ref(); p.unref(); p.unref(); console.log(p.pid)',
    )
    expect(released.code).toBe(0)
    expect(released.ms).toBeLessThan(30_000)
    for (const { output } of [idle, released]) process.kill(Number(output), 'SIGKILL')
  })

  test('without privilege a call says so', async () => {
    const { output } = await program(`
      process.setuid(65534)
      const request = { file: 'true', args: [], env: {}, stdio: [], session: 'own' }
      await launcher.launch(request).catch((error) => console.log(error.kind, error.details.syscall))
      await launcher.mount({ target: '/mnt', mounts: [] }).catch((error) => console.log(error.kind))
      await launcher[Symbol.asyncDispose]()
    `)
    expect(output).toBe('permission_denied unshare\npermission_denied\n')
  })

  test('leaves namespaces, directory and umask of the rest of the process alone', async () => {
    const { output } = await program(`
      import { readFileSync, readlinkSync } from 'node:fs'
      const look = () => [readlinkSync('/proc/self/ns/mnt'), process.cwd(), process.umask(), readFileSync('/proc/self/mountinfo', 'utf8')].join('|')
      const before = look()
      await (await launcher.mount({ target: '${fixture.folder('target')}', mounts: [{ type: 'tmpfs', source: 'tmpfs', options: [] }] }))
      console.log(look() === before)
    `)
    expect(output).toBe('true\n')
  })

  test('what it mounted is gone when the process is killed', async () => {
    const target = fixture.folder('target')
    const image = join(fixture.scratch, 'image')
    execFileSync('sh', ['-c', `truncate -s 8M ${image} && mkfs.ext4 -q ${image}`])
    const { signal } = await program(`
      await launcher.mount({ target: '${target}', mounts: [overlayOf()] })
      function overlayOf() { return { type: 'tmpfs', source: 'tmpfs', options: [] } }
      process.kill(process.pid, 'SIGKILL')
    `)
    expect(signal).toBe('SIGKILL')
    expect(readMountTable().some((entry) => entry.target === target)).toBe(false)
    expect(statSync(target).isDirectory()).toBe(true)
  })
})
