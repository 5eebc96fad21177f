import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isEngineError } from '../errors/engine-error.ts'
import { tryLock, waitLock } from './file-lock.ts'

let scratch: string
let path: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'lock-'))
  path = join(scratch, 'lock')
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

describe('file locks', () => {
  test('one holder; disposal twice frees one descriptor once', () => {
    const before = readdirSync('/proc/self/fd').length
    const lock = tryLock(path)!
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(tryLock(path)).toBe(null)
    lock[Symbol.dispose]()
    const next = tryLock(path)!
    lock[Symbol.dispose]()
    expect(tryLock(path)).toBe(null)
    next[Symbol.dispose]()
    expect(readdirSync('/proc/self/fd').length).toBe(before)
  })

  test('shared holders exclude the exclusive one', () => {
    using a = tryLock(path, 'shared')
    using b = tryLock(path, 'shared')
    expect([a, b].every((lock) => lock !== null)).toBe(true)
    expect(tryLock(path)).toBe(null)
  })

  test('children do not inherit it', async () => {
    const lock = tryLock(path)!
    const child = spawn('sleep', ['100'])
    await once(child, 'spawn')
    lock[Symbol.dispose]()
    using again = tryLock(path)
    expect(again).not.toBe(null)
    child.kill('SIGKILL')
  })

  test('the kernel frees it when its process is killed', async () => {
    const program = `
      import { tryLock } from '${import.meta.dirname}/file-lock.ts'
      globalThis.lock = tryLock(${JSON.stringify(path)})
      console.log('held')
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    expect(tryLock(path)).toBe(null)
    const waiting = waitLock(path)
    child.kill('SIGKILL')
    using lock = await waiting
    expect(lock.path).toBe(path)
  })

  test('waiting ends by the signal, and bad places are typed errors', async () => {
    using _ = tryLock(path)
    const controller = new AbortController()
    setTimeout(() => controller.abort('late'), 20)
    await expect(waitLock(path, { signal: controller.signal })).rejects.toMatchObject({
      name: 'AbortError',
      cause: 'late',
    })
    try {
      tryLock('/no/such/place')
      expect.unreachable()
    } catch (error) {
      expect(isEngineError(error, { kind: 'not_found' })).toBe(true)
    }
  })
})
