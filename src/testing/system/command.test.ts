import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeBusyboxTarball } from '../../../examples/support/busybox-image.ts'
import { repository, run } from './packed-package.ts'

let directory: string
let root: string

const tscontainer = (...args: readonly string[]) =>
  run(process.execPath, ['--conditions=tscontainer-source', join(repository, 'src/cli.ts'), ...args], directory)

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tscontainer-command-'))
  root = join(directory, 'root')
  await writeBusyboxTarball(join(directory, 'busybox.tar'))
})

afterAll(() => rm(directory, { recursive: true, force: true }))

describe('the command', () => {
  test('runs a container: output apart, exit code kept', async () => {
    const script = 'echo out; echo err >&2; exit 9'
    const options = ['--root', root, '--load', 'busybox.tar', '--network', 'none']
    const result = await tscontainer('run', ...options, 'busybox:local', 'sh', '-c', script)
    expect(result).toEqual({ code: 9, stdout: 'out\n', stderr: 'err\n' })
  })

  test('lists, measures and removes images', async () => {
    const at = ['--root', root]
    const list = await tscontainer('images', ...at, 'busy*')
    expect(list.stdout).toMatch(
      /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\nbusybox +local +[0-9a-f]{12} +\S+ +[\d.]+MB\n$/,
    )
    const id = (await tscontainer('images', ...at, '-q', '--no-trunc')).stdout.trim()
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect((await tscontainer('images', ...at, '--dangling', '-q')).stdout).toBe('')
    expect((await tscontainer('images', ...at, '[')).code).toBe(1)
    const usage = await tscontainer('df', ...at, '-v', '--blocks')
    expect(usage.stdout).toMatch(
      /^TYPE +TOTAL[\s\S]*Images +1 +0 [\s\S]*layers take [\d.]+MB[\s\S]*busybox:local +[0-9a-f]{12}/,
    )
    expect((await tscontainer('prune', ...at)).stdout).toBe('freed 0B\n')
    const wrong = await tscontainer('rmi', ...at, 'nothing')
    expect(wrong).toMatchObject({ code: 1, stdout: 'freed 0B\n' })
    expect(wrong.stderr).toContain('[image.not_found]')
    expect((await tscontainer('rmi', ...at)).code).toBe(2)
    const removed = await tscontainer('rmi', ...at, 'busybox:local')
    expect(removed.stdout).toMatch(/^untagged busybox:local\ndeleted sha256:[0-9a-f]{64}\nfreed [\d.]+MB\n$/)
    await tscontainer('run', ...at, '--load', 'busybox.tar', '--network', 'none', 'busybox:local', 'true')
  })

  test('passes options on', async () => {
    const options = [
      '--root',
      root,
      '--network',
      'none',
      '-e',
      'A=1',
      '--hostname',
      'here',
      '-u',
      'nobody',
      '-w',
      '/tmp',
    ]
    const result = await tscontainer(
      'run',
      ...options,
      'busybox:local',
      'sh',
      '-c',
      'echo $A $(hostname) $(id -u) $PWD',
    )
    expect(result.stdout).toBe('1 here 65534 /tmp\n')
  })

  test.each([
    [['--offline', 'no-such-image'], 125],
    [['--network', 'none', 'busybox:local', '/tmp'], 126],
    [['--network', 'none', 'busybox:local', '/no/such/program'], 127],
  ])('run %j ends with %i', async (args, code) => {
    const result = await tscontainer('run', '--root', root, ...args)
    expect(result.code).toBe(code)
    expect(result.stderr).toMatch(/^tscontainer: .*\[[a-z]+\.[a-z_]+\]\n$/)
  })

  test.each([
    [[]],
    [['nonsense']],
    [['run']],
    [['run', '--nonsense', 'x']],
    [['gc', 'more']],
    [['reset', '--root', '/r']],
  ])('%j is refused with the usage', async (args) => {
    const result = await tscontainer(...args)
    expect(result.code).toBe(2)
    expect(result.stdout + result.stderr).toContain('usage: tscontainer')
  })

  test('check says what is wrong and mends it, also where the records are gone', async () => {
    const check = (...args: readonly string[]) => tscontainer('check', '--root', root, ...args)
    expect(await check()).toEqual({ code: 0, stdout: 'all is well\n', stderr: '' })
    for (const suffix of ['', '-wal', '-shm']) await rm(join(root, `state.db${suffix}`), { force: true })
    expect(await check()).toMatchObject({ code: 1, stderr: expect.stringContaining('[state.corrupt]') })
    const repaired = await check('--repair')
    expect(repaired, repaired.stdout).toMatchObject({ code: 0, stderr: '' })
    expect(repaired.stdout).toContain('[unrecorded_image]')
    expect(JSON.parse((await check('--json', '--contents')).stdout)).toEqual({ problems: [], setAside: null })
  })

  test('gc, then reset leaves an empty root and ends what ran', async () => {
    const linksBefore = readdirSync('/sys/class/net')
    const options = ['--root', root, '--detach']
    const started = await tscontainer('run', ...options, 'busybox:local', 'sleep', '1000')
    expect(started.stdout).toMatch(/^[0-9a-f]{64}\n$/)
    expect(await tscontainer('gc', '--root', root)).toMatchObject({ code: 0, stderr: '' })
    const reset = await tscontainer('reset', '--root', root, '--yes')
    expect(reset).toMatchObject({ code: 0, stderr: '' })
    expect(readdirSync(root)).toEqual([])
    expect(readdirSync('/sys/class/net').filter((name) => !linksBefore.includes(name))).toEqual([])
    const id = started.stdout.trim()
    const still = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && cgroupOf(pid).includes(id))
    expect(still).toEqual([])
  })

  test('reset refuses a directory that is no data root', async () => {
    const other = join(directory, 'other')
    await run('mkdir', [other], directory)
    await writeFile(join(other, 'precious'), 'data')
    const reset = await tscontainer('reset', '--root', other, '--yes')
    expect(reset.code).toBe(1)
    expect(existsSync(join(other, 'precious'))).toBe(true)
  })

  test('reset works when the records are damaged, and ends what ran', async () => {
    const options = ['--root', root, '--load', 'busybox.tar', '--network', 'none', '--detach']
    const { stdout } = await tscontainer('run', ...options, 'busybox:local', 'sleep', '1000')
    for (const suffix of ['', '-wal', '-shm']) await rm(join(root, `state.db${suffix}`), { force: true })
    await writeFile(join(root, 'state.db'), 'this is no database'.repeat(500))
    const reset = await tscontainer('reset', '--root', root, '--yes')
    expect(reset.code, reset.stderr).toBe(0)
    expect(readdirSync(root)).toEqual([])
    const belongs = (pid: string) => cgroupOf(pid).includes(stdout.trim()) || commandOf(pid).includes(root)
    expect(readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && belongs(pid))).toEqual([])
  })
})

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // ended meanwhile
  }
}

const cgroupOf = (pid: string): string => contentOf(`/proc/${pid}/cgroup`)
const commandOf = (pid: string): string => contentOf(`/proc/${pid}/cmdline`)
