import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { hierarchies } from './hierarchy.ts'
import { QuickMoves } from './quick-moves.ts'

const tree = hierarchies().used[0]!
const home = join(tree.directory, `tscontainer-test-quick-${process.pid}`)
const elsewhere = `${home}-other`
let victim: ChildProcess

beforeEach(() => {
  mkdirSync(home)
  mkdirSync(elsewhere)
  victim = spawn('sleep', ['1000'], { stdio: 'ignore' })
  move(home)
})

afterEach(async () => {
  const gone = once(victim, 'exit')
  victim.kill('SIGKILL')
  await gone
  await vi.waitFor(() => rmdirSync(home))
  rmdirSync(elsewhere)
})

const move = (directory: string) => writeFileSync(join(directory, 'cgroup.procs'), String(victim.pid))
const inside = (directory: string) => readFileSync(join(directory, 'cgroup.procs'), 'utf8').trim()
const descriptors = () => readdirSync('/proc/self/fd').length

test('moves the process to where it is, again and again, while it is held by anybody', async () => {
  const before = descriptors()
  const quick = new QuickMoves(() => victim.pid!)
  const first = quick.hold()
  const second = quick.hold()
  await sleep(50)
  expect(inside(home)).toBe(String(victim.pid))
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  // Seen by what it undoes.
  move(elsewhere)
  await vi.waitFor(() => expect(inside(home)).toBe(String(victim.pid)))
  second[Symbol.dispose]()
  await sleep(50)
  move(elsewhere)
  await sleep(50)
  expect(inside(home)).toBe('')
  await quick[Symbol.asyncDispose]()
  expect(descriptors()).toBe(before)
})

test('another process takes over; none and a dead one are no error', async () => {
  let pid: number | null = null
  const quick = new QuickMoves(() => pid)
  for (const next of [null, 4_190_000, victim.pid!]) {
    pid = next
    using _held = quick.hold()
    await sleep(20)
  }
  expect(inside(home)).toBe(String(victim.pid))
  await quick[Symbol.asyncDispose]()
})
