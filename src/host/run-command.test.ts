import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { isEngineError } from '../errors/engine-error.ts'
import { runCommand } from './run-command.ts'

const failure = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => null,
    (e: unknown) => e,
  )
  if (!isEngineError(error)) throw new Error(`no typed error: ${error}`)
  return error
}

const running = (argument: string) =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(argument)
    } catch {
      return false
    }
  })

describe('runCommand', () => {
  test('gives output, exit code and input', async () => {
    const result = await runCommand('sh', ['-c', 'cat; echo wrong >&2; exit 3'], { input: 'in', accept: [0, 3] })
    expect(result).toEqual({ exitCode: 3, stdout: 'in', stderr: 'wrong\n' })
  })

  test('the environment is this process plus what is given, in the C locale; arguments pass no shell', async () => {
    const { stdout } = await runCommand('sh', ['-c', 'echo "$A $LC_ALL $HOME $1"', 'sh', '$(id) *'], {
      env: { A: 'b' },
    })
    expect(stdout).toBe(`b C ${process.env['HOME']} $(id) *\n`)
  })

  test('a program that reads no input does not fail by that', async () => {
    const { exitCode } = await runCommand('true', [], { input: Buffer.alloc(4_000_000) })
    expect(exitCode).toBe(0)
  })

  test('other exit codes and signals are failures with the last words', async () => {
    const error = await failure(runCommand('sh', ['-c', 'echo first; echo last words >&2; exit 4']))
    expect(error.code).toBe('host.program_failed')
    expect(error.message).toContain('status 4')
    expect(error.message).toContain('last words')
    expect(error.details).toMatchObject({ exitCode: 4, stdout: 'first\n', stderr: 'last words\n' })
    expect((await failure(runCommand('sh', ['-c', 'kill -15 $$']))).message).toContain('SIGTERM')
  })

  test('a missing program is named with its package', async () => {
    const error = await failure(runCommand('nft-that-is-not-there', []))
    expect(error).toMatchObject({ code: 'host.program_missing', kind: 'unsupported' })
    expect((await failure(runCommand('true', [], { cwd: '/not/there' }))).kind).toBe('not_found')
    expect((await failure(runCommand('/etc/passwd', []))).kind).toBe('permission_denied')
  })

  test('too long: killed with all that it started', async () => {
    const error = await failure(runCommand('sh', ['-c', 'sleep 4321.5 & sleep 4321.5'], { timeoutMs: 100 }))
    expect(error.code).toBe('host.program_timeout')
    expect(running('4321.5')).toEqual([])
  })

  test('aborted: the same, and the cause is the reason', async () => {
    const controller = new AbortController()
    const call = failure(runCommand('sh', ['-c', 'sleep 4321.75; true'], { signal: controller.signal }))
    setTimeout(() => controller.abort('enough'), 50)
    const error = await call
    expect(error).toMatchObject({ name: 'AbortError', cause: 'enough' })
    expect(running('4321.75')).toEqual([])
    expect((await failure(runCommand('true', [], { signal: controller.signal }))).kind).toBe('aborted')
  })

  test('too much output: killed', async () => {
    const error = await failure(runCommand('cat', ['/dev/zero'], { maxOutputBytes: 100_000 }))
    expect(error).toMatchObject({ code: 'host.program_output', kind: 'resource_exhausted' })
  })

  test('a daemon that keeps the pipes open does not hold up the result', async () => {
    const start = performance.now()
    const { stdout } = await runCommand('sh', ['-c', 'echo done; sleep 5 & exit 0'])
    expect(stdout).toBe('done\n')
    expect(performance.now() - start).toBeLessThan(3000)
  })
})
