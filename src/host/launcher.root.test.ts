import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isEngineError } from '../errors/engine-error.ts'
import type { LaunchedProcess, Launcher, LaunchRequest } from './launcher.ts'
import { createLauncher } from './launcher-client.ts'
import { readMountTable } from './mount-info.ts'
import type { MountSpec } from './mount-spec.ts'

let scratch: string
let launcher: Launcher
let told: unknown[]

beforeEach(() => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'launcher-')))
  told = []
  launcher = createLauncher({ diagnostics: (diagnostic) => told.push(diagnostic) })
})

afterEach(async () => {
  await launcher[Symbol.asyncDispose]()
  rmSync(scratch, { recursive: true, force: true })
})

const folder = (name: string, files: Record<string, string> = {}): string => {
  const path = join(scratch, name)
  mkdirSync(path, { recursive: true })
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text)
  return path
}

const overlay = (lower: readonly string[], name = 'one'): MountSpec => ({
  type: 'overlay',
  source: 'overlay',
  options: [`lowerdir=${lower.join(':')}`, `upperdir=${folder(`${name}/upper`)}`, `workdir=${folder(`${name}/work`)}`],
})

const end = async (child: LaunchedProcess) => {
  child.ref()
  return await child.exited
}

/** Runs a shell line with stdout in a file. */
const shell = async (line: string, more: Partial<LaunchRequest> = {}) => {
  const file = join(scratch, 'output')
  const fd = openSync(file, 'w')
  try {
    const child = await launcher.launch({
      file: 'sh',
      args: ['-c', line],
      env: { PATH: '/usr/bin:/bin' },
      stdio: ['ignore', fd, fd],
      session: 'own',
      ...more,
    })
    const exit = await end(child)
    return { ...exit, output: readFileSync(file, 'utf8'), pid: child.pid }
  } finally {
    closeSync(fd)
  }
}

const failure = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => null,
    (e: unknown) => e,
  )
  if (!isEngineError(error)) throw new Error(`no typed error: ${error}`)
  return error
}

const openDescriptors = () => readdirSync('/proc/self/fd').length

describe('programs', () => {
  test('exit codes, signals, environment, directory, umask and session are as asked', async () => {
    expect(await shell('exit 7')).toMatchObject({ code: 7, signal: null })
    expect(await shell('kill -9 $$')).toMatchObject({ code: null, signal: 'SIGKILL' })
    const { output, pid } = await shell('umask; pwd; env; cut -d" " -f6 /proc/$$/stat', {
      env: { PATH: '/bin', A: 'b' },
    })
    const [mask, directory, ...rest] = output.trim().split('\n')
    expect(mask).toBe('0022')
    expect(directory).toBe('/')
    expect(rest.pop()).toBe(String(pid))
    expect(rest.filter((line) => !/^(_|PWD|SHLVL|OLDPWD)=/.test(line)).sort()).toEqual(['A=b', 'PATH=/bin'])
    expect((await shell('pwd', { cwd: scratch })).output.trim()).toBe(scratch)
  })

  test('inherit the given descriptors and no other', async () => {
    for (const name of ['in', 'secret']) writeFileSync(join(scratch, name), name)
    const fd = openSync(join(scratch, 'in'), 'r')
    const secret = openSync(join(scratch, 'secret'), 'r')
    const out = openSync(join(scratch, 'output'), 'w')
    const { output } = await shell('cat; cat <&3; ls -l /proc/$$/fd', { stdio: [fd, out, out, fd] })
    for (const number of [fd, secret, out]) closeSync(number)
    expect(output).toMatch(/^in/)
    expect(output).toContain(`3 -> ${scratch}/in`)
    // What whoever started us left open for every program is not ours to close; what we opened is.
    expect(output).not.toContain('secret')
    expect(output).not.toContain('mnt:[')
  })

  test('failures to start are typed and leave nothing', async () => {
    const request = { args: [], env: { PATH: '/bin' }, stdio: [], session: 'own' as const }
    const missing = await failure(launcher.launch({ ...request, file: 'no-such-program' }))
    expect(missing.code).toBe('host.program_missing')
    expect(missing.message).toContain('no-such-program')
    expect((await failure(launcher.launch({ ...request, file: '/etc/passwd' }))).kind).toBe('permission_denied')
    expect((await failure(launcher.launch({ ...request, file: 'true', cwd: '/nowhere' }))).kind).toBe('not_found')
    const badRoot = { target: '/nowhere', mounts: [{ type: 'tmpfs', source: 'tmpfs', options: [] }] }
    expect((await failure(launcher.launch({ ...request, file: 'true', root: badRoot }))).kind).toBe('not_found')
    expect((await shell('exit 0')).code).toBe(0)
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
    const call = launcher.launch(request, { signal: controller.signal })
    controller.abort(new Error('changed my mind'))
    const error = await failure(call)
    expect(error.name).toBe('AbortError')
    expect(error.cause).toBe(controller.signal.reason)
    expect(execFileSync('sh', ['-c', 'grep -lz 12345.25 /proc/[0-9]*/cmdline || true']).toString()).not.toMatch(
      /proc\/(?!self)\d+\/cmdline\n.*sleep/,
    )
    expect((await failure(launcher.launch(request, { signal: controller.signal }))).kind).toBe('aborted')
  })
})

describe('roots', () => {
  test('are seen by their program only, and gone after it', async () => {
    const target = folder('target')
    const root = { target, mounts: [overlay([folder('lower', { file: 'below' })])] }
    const { output } = await shell(
      `cat ${target}/file; echo new > ${target}/other; grep -c ${target} /proc/self/mountinfo`,
      {
        root,
      },
    )
    expect(output).toBe('below1\n')
    expect(readdirSync(target)).toEqual([])
    expect(readFileSync(join(scratch, 'one/upper/other'), 'utf8')).toBe('new\n')
    expect(readMountTable().some((entry) => entry.target === target)).toBe(false)
    // A second program sees nothing of the first one's root.
    expect((await shell(`ls ${target} | wc -l`)).output.trim()).toBe('0')
    rmSync(join(scratch, 'one'), { recursive: true })
  })

  test('are undone when a later mount of the stack fails', async () => {
    const target = folder('target')
    const tmpfs: MountSpec = { type: 'tmpfs', source: 'tmpfs', options: ['size=1m'] }
    const error = await failure(
      launcher.mount({ target, mounts: [tmpfs, { type: 'no-such-type', source: 'x', options: [] }] }),
    )
    expect(error.kind).toBe('unsupported')
    await using lease = await launcher.mount({ target, mounts: [tmpfs] })
    const table = readFileSync(`/proc/${process.pid}/task/${lease.path.split('/')[4]}/mountinfo`, 'utf8')
    expect(table.split('\n').filter((line) => line.includes(target)).length).toBe(1)
  })

  test('binds, read-only and other flags', async () => {
    const target = folder('target')
    const source = folder('source', { file: 'x' })
    const root = { target, mounts: [{ type: 'bind', source, options: ['rbind', 'ro', 'nosuid', 'nodev'] }] }
    const { output } = await shell(`cat ${target}/file; touch ${target}/y; grep ' ${target} ' /proc/self/mountinfo`, {
      root,
    })
    expect(output).toMatch(/^x.*Read-only file system\n.* ro,nosuid,nodev/s)
    const bad = { target, mounts: [{ type: 'bind', source, options: ['rbind', 'size=3'] }] }
    expect((await failure(launcher.mount(bad))).kind).toBe('invalid_argument')
  })

  test('overlays of 200 layers with long and awkward names', async () => {
    const awkward = 'a,b:c\\d e'
    const lower = Array.from({ length: 200 }, (_, n) =>
      folder(`${'l'.repeat(100)}/${awkward}${n}`, { [`f${n}`]: String(n) }),
    )
    const escaped = lower.map((path) => path.replace(/[\\,:]/g, '\\$&'))
    const target = folder('target')
    await using lease = await launcher.mount({ target, mounts: [overlay(escaped)] })
    expect(readdirSync(lease.path).length).toBe(200)
    expect(readFileSync(join(lease.path, 'f199'), 'utf8')).toBe('199')
    // The thread's working directory is back at the root.
    expect((await shell('pwd')).output).toBe('/\n')
  })

  test('later mounts of the host are seen, and their end too', async () => {
    const target = folder('late')
    await shell('true')
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', target])
    try {
      const shared = readMountTable()
        .find((entry) => entry.target === '/')!
        .propagation.some((p) => p.startsWith('shared'))
      expect((await shell(`grep -c ' ${target} ' /proc/self/mountinfo`)).output.trim()).toBe(shared ? '1' : '0')
    } finally {
      execFileSync('umount', [target])
    }
    expect((await shell(`grep -c ' ${target} ' /proc/self/mountinfo`)).output.trim()).toBe('0')
  })
})

describe('leases', () => {
  test('give a path that works here and elsewhere, until disposal', async () => {
    const target = folder('target')
    const lease = await launcher.mount({ target, mounts: [overlay([folder('lower', { file: 'below' })])] })
    expect(readFileSync(join(lease.path, 'file'), 'utf8')).toBe('below')
    expect(execFileSync('cat', [join(lease.path, 'file')]).toString()).toBe('below')
    // Programs started meanwhile do not hold it.
    const sleeper = await launcher.launch({ file: 'sleep', args: ['1000'], env: {}, stdio: [], session: 'own' })
    expect(readFileSync(`/proc/${sleeper.pid}/mountinfo`, 'utf8')).not.toContain(target)
    // A file that is still open does not stop the disposal.
    const fd = openSync(join(lease.path, 'file'), 'r')
    await lease[Symbol.asyncDispose]()
    await lease[Symbol.asyncDispose]()
    closeSync(fd)
    expect(existsSync(join(lease.path, 'file'))).toBe(false)
    process.kill(sleeper.pid, 'SIGKILL')
    expect((await end(sleeper)).signal).toBe('SIGKILL')
  })

  test('one at a time on a directory', async () => {
    const target = folder('target')
    const root = { target, mounts: [{ type: 'bind', source: folder('a', { a: '' }), options: ['bind'] }] }
    const lease = await launcher.mount(root)
    expect((await failure(launcher.mount(root))).code).toBe('host.busy')
    expect(readdirSync(lease.path)).toEqual(['a'])
    await lease[Symbol.asyncDispose]()
    await using again = await launcher.mount(root)
    expect(readdirSync(again.path)).toEqual(['a'])
  })
})

describe('network namespaces', () => {
  test('live as long as their descriptor', async () => {
    const netns = await launcher.createNetns({ links: [], sysctls: { 'ipv4/ip_unprivileged_port_start': '80' } })
    const inside = (...command: string[]) => execFileSync('nsenter', [`--net=${netns.path}`, ...command]).toString()
    expect(statSync(netns.path).ino).toBe(netns.inode)
    expect(inside('readlink', '/proc/self/ns/net').trim()).toBe(`net:[${netns.inode}]`)
    expect(inside('ip', '-o', 'link')).toMatch(/^1: lo: <LOOPBACK,UP,LOWER_UP>[^\n]*\n$/)
    expect(inside('cat', '/proc/sys/net/ipv4/ip_unprivileged_port_start').trim()).toBe('80')
    expect(statSync('/proc/self/ns/net').ino).not.toBe(netns.inode)
    expect((await shell('readlink /proc/self/ns/net')).output).not.toContain(String(netns.inode))
    await netns[Symbol.asyncDispose]()
    await netns[Symbol.asyncDispose]()
    expect(existsSync(netns.path)).toBe(false)
  })

  test('an abort closes what was made', async () => {
    await shell('true')
    const before = openDescriptors()
    const controller = new AbortController()
    const call = launcher.createNetns({ links: [] }, { signal: controller.signal })
    controller.abort()
    expect((await failure(call)).kind).toBe('aborted')
    expect(openDescriptors()).toBe(before)
  })
})

describe('the thread', () => {
  test('when it is lost, calls and exits settle, and the next call starts another', async () => {
    const entry = join(scratch, 'thread.mjs')
    writeFileSync(
      entry,
      `import { parentPort } from 'node:worker_threads'
      let calls = 0
      parentPort.on('message', ({ id }) => {
        if (++calls > 1) throw new Error('broken on purpose')
        parentPort.postMessage({ id, result: { pid: 1 } })
      })`,
    )
    const other = createLauncher({ diagnostics: (diagnostic) => told.push(diagnostic), entry: pathToFileURL(entry) })
    const request: LaunchRequest = { file: 'x', args: [], env: {}, stdio: [], session: 'own' }
    const first = await other.launch(request)
    const error = await failure(other.mount({ target: '/', mounts: [] }))
    expect(error).toMatchObject({ code: 'host.launcher_lost', retryable: true })
    expect(String((error.cause as Error).message)).toContain('broken on purpose')
    expect(await end(first)).toEqual({ code: null, signal: null })
    expect(told).toMatchObject([{ level: 'error', source: 'host.launcher' }])
    expect((await other.launch(request)).pid).toBe(1)
    // Its thread does not answer to the order to leave: being lost is as good.
    await other[Symbol.asyncDispose]()
  })

  test('disposal frees every descriptor, twice is no error, use after it is refused', async () => {
    const other = createLauncher({ diagnostics: (diagnostic) => told.push(diagnostic) })
    const before = openDescriptors()
    await other.mount({ target: folder('target'), mounts: [overlay([folder('lower')])] })
    await other[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
    expect(openDescriptors()).toBe(before)
    expect((await failure(other.mount({ target: '/', mounts: [] }))).code).toBe('call.disposed')
    expect(told).toEqual([])
  })

  test('a hundred programs at once', async () => {
    const exits = await Promise.all(
      Array.from({ length: 100 }, async (_, n) => {
        const child = await launcher.launch({
          root: { target: folder(`t${n}`), mounts: [overlay([folder('lower', { file: 'x' })], `o${n}`)] },
          file: 'cat',
          args: [join(scratch, `t${n}`, 'file')],
          env: {},
          stdio: ['ignore', 'ignore', 'ignore'],
          session: 'own',
        })
        return end(child)
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
      await (await launcher.mount({ target: '${folder('target')}', mounts: [{ type: 'tmpfs', source: 'tmpfs', options: [] }] }))
      console.log(look() === before)
    `)
    expect(output).toBe('true\n')
  })

  test('what it mounted is gone when the process is killed', async () => {
    const target = folder('target')
    const image = join(scratch, 'image')
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
