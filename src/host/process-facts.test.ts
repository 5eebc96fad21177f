import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { parseProcessFacts, readProcessFacts } from './process-facts.ts'

test('of this process', () => {
  const facts = readProcessFacts(process.pid)!
  expect(facts).toMatchObject({ pid: process.pid, parentPid: process.ppid, uid: process.geteuid?.(), state: 'R' })
  expect(facts.argv[0]).toContain('node')
  expect(facts.residentBytes).toBeGreaterThan(10e6)
  expect(Math.abs(Date.now() - process.uptime() * 1000 - facts.startedAt.getTime())).toBeLessThan(3000)
})

test('of nobody', async () => {
  const child = spawn('true')
  await once(child, 'exit')
  expect(readProcessFacts(child.pid!)).toBeNull()
})

test('a name with spaces and parentheses, a pid namespace, no command line', () => {
  const after = `Z 7 ${'0 '.repeat(9)}150 50 0 0 20 0 1 0 1000 ${'0 '.repeat(30)}`
  const facts = parseProcessFacts(42, {
    stat: `42 (a) b (c) ${after}`,
    status: 'Name:\ta) b (c\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t42\t9\t3\nThreads:\t2\n',
    cmdline: '',
    boot: 'cpu 1\nbtime 1000\n',
  })
  expect(facts).toEqual({
    pid: 42,
    innerPid: 3,
    parentPid: 7,
    uid: 2,
    gid: 6,
    state: 'Z',
    threads: 2,
    residentBytes: 0,
    cpuMs: 2000,
    startedAt: new Date(1_010_000),
    name: 'a) b (c',
    argv: [],
  })
})
