import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { bootId, currentIdentity, identityOf, isAlive, signalProcess } from './process-identity.ts'

describe('process identity', () => {
  test('of this process', () => {
    const self = currentIdentity()
    expect(self).toEqual({ pid: process.pid, startTime: expect.stringMatching(/^\d+$/), bootId: bootId() })
    expect(bootId()).toMatch(/^[0-9a-f-]{36}$/)
    expect(isAlive(self)).toBe(true)
    expect(signalProcess(self, 0)).toBe(true)
  })

  test('names with parentheses and spaces do not confuse it', async () => {
    const child = spawn('sh', ['-c', 'printf ") R 1 (" > /proc/$$/comm; echo; read line'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    expect(readFileSync(`/proc/${child.pid}/stat`, 'utf8')).toContain('() R 1 ()')
    const identity = identityOf(child.pid!)!
    expect(Number(identity.startTime)).toBeGreaterThanOrEqual(Number(currentIdentity().startTime))
    expect(isAlive(identity)).toBe(true)
    child.kill('SIGKILL')
    await once(child, 'exit')
  })

  test('signals reach the very process only', async () => {
    const child = spawn('sleep', ['100'])
    const identity = identityOf(child.pid!)!
    expect(signalProcess({ ...identity, startTime: '1' }, 'SIGKILL')).toBe(false)
    expect(signalProcess({ ...identity, bootId: 'another' }, 'SIGKILL')).toBe(false)
    expect(isAlive({ ...identity, startTime: '1' })).toBe(false)
    expect(isAlive(identity)).toBe(true)
    expect(signalProcess(identity, 'SIGTERM')).toBe(true)
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM'])
    expect(signalProcess(identity, 'SIGTERM')).toBe(false)
    expect(isAlive(identity)).toBe(false)
    expect(identityOf(child.pid!)).toBe(null)
  })

  test('a zombie is dead', async () => {
    // The shell execs into sleep, which never collects its child.
    const parent = spawn('sh', ['-c', 'true & echo $!; exec sleep 100'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [data] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(data.toString())
    let identity = identityOf(pid)
    for (let i = 0; i < 200 && (!identity || isAlive(identity)); i++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      identity = identityOf(pid)
    }
    if (identity) expect(isAlive(identity)).toBe(false)
    parent.kill('SIGKILL')
  })
})
