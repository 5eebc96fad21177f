import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Launcher, LaunchRequest, ProcessExit } from './launcher.ts'
import { createLauncher } from './launcher-client.ts'

let scratch: string
let launcher: Launcher

beforeEach(() => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'programs-')))
  launcher = createLauncher({ diagnostics: (diagnostic) => expect.unreachable(diagnostic.message) })
})

afterEach(async () => {
  await launcher[Symbol.asyncDispose]()
  rmSync(scratch, { recursive: true })
})

async function run(request: Partial<LaunchRequest> & Pick<LaunchRequest, 'file'>): Promise<ProcessExit> {
  const program = await launcher.launch({ args: [], env: {}, stdio: [], session: 'own', ...request })
  program.ref()
  return program.exited
}

const script = (path: string, text: string, mode = 0o755) => {
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, text)
  chmodSync(path, mode)
}

/** A program with a launcher of its own, whose descriptors 0 to 2 are known; gives its stdout and stderr. */
function withLauncher(body: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const source = `
    import { createLauncher } from '${import.meta.dirname}/launcher-client.ts'
    const launcher = createLauncher({ diagnostics: console.error })
    const sh = async (line, stdio) => {
      const program = await launcher.launch({ file: '/bin/sh', args: ['-c', line], env: {}, stdio, session: 'own' })
      program.ref()
      await program.exited
    }
    ${body}
    await launcher[Symbol.asyncDispose]()
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.stderr += text
  })
  return new Promise((resolve) => child.once('close', () => resolve(said)))
}

test('descriptors that change places', async () => {
  const { stdout, stderr } = await withLauncher(`
    await sh('echo out; echo err >&2', ['ignore', 2, 1])
    await sh('echo again >&2', [1, 0, 1])
    await sh('echo three >&3', ['ignore', 'ignore', 'ignore', 1])
  `)
  expect(stdout).toBe('err\nagain\nthree\n')
  expect(stderr).toBe('out\n')
})

test('fewer than three descriptors are filled up with /dev/null', async () => {
  // cat would fail to read from a closed descriptor, and echo to write to one.
  expect(await run({ file: '/bin/sh', args: ['-c', 'cat && echo x && echo y >&2'] })).toEqual({ code: 0, signal: null })
})

test('programs are looked for on the PATH that they get, and must be executable files', async () => {
  const [first, second] = [join(scratch, 'first'), join(scratch, 'second')]
  script(join(first, 'tool'), '#!/bin/sh\nexit 1\n', 0o644)
  mkdirSync(join(first, 'folder'))
  script(join(second, 'tool'), '#!/bin/sh\nexit 7\n')
  script(join(second, 'folder'), '#!/bin/sh\nexit 8\n')
  const env = { PATH: `${first}:${second}` }
  expect(await run({ file: 'tool', env })).toMatchObject({ code: 7 })
  expect(await run({ file: 'folder', env })).toMatchObject({ code: 8 })
  await expect(run({ file: 'tool', env: { PATH: first } })).rejects.toMatchObject({ kind: 'permission_denied' })
  await expect(run({ file: 'nothing', env })).rejects.toMatchObject({ code: 'host.program_missing' })
  script(join(second, 'orphan'), '#!/no/such/interpreter\n')
  await expect(run({ file: 'orphan', env })).rejects.toMatchObject({ code: 'host.program_missing' })
})

test('signals that this process ignores are at their default in the program', async () => {
  // Node ignores SIGPIPE. A shell cannot take back what was ignored when it started.
  const exit = await run({ file: '/bin/sh', args: ['-c', 'kill -PIPE $$; exit 3'] })
  expect(exit).toEqual({ code: null, signal: 'SIGPIPE' })
  // A real-time signal has no name.
  expect(await run({ file: '/bin/sh', args: ['-c', 'kill -40 $$; exit 3'] })).toEqual({ code: 168, signal: null })
})

test('a thousand ends are all told, each with its own code', async () => {
  const codes = await Promise.all(
    Array.from(
      { length: 1000 },
      async (_, n) => (await run({ file: '/bin/sh', args: ['-c', `exit ${n % 250}`] })).code,
    ),
  )
  expect(codes).toEqual(Array.from({ length: 1000 }, (_, n) => n % 250))
})
