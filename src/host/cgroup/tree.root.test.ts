import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { directoriesOf, hierarchies } from './hierarchy.ts'
import { ensureParent, listParents } from './parent.ts'
import { cgroupExists, freeze, isFrozen, killTree, processesOf, readOomKills, removeTree, thaw } from './tree.ts'

let id: string
let path: string
const children: ChildProcess[] = []

beforeEach(() => {
  id = randomBytes(8).toString('hex')
  path = ensureParent(id, { driver: 'cgroupfs' }).path
})

afterEach(async () => {
  if (cgroupExists(path)) await killTree(path)
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await removeTree(path)
  expect(cgroupExists(path)).toBe(false)
})

/** A new v1 cpuset takes no process before its processors and memory are named, from the top down. */
const initCpuset = (tree: string, cgroup: string) => {
  for (let end = cgroup.indexOf('/', 1); ; end = cgroup.indexOf('/', end + 1)) {
    const folder = end < 0 ? cgroup : cgroup.slice(0, end)
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const path = join(tree, folder, file)
      if (readFileSync(path, 'utf8').trim() === '') writeFileSync(path, readFileSync(join(tree, file)))
    }
    if (end < 0) return
  }
}

/** Runs a shell line in a cgroup of ours in every hierarchy. */
const inCgroup = async (line: string, cgroup: string): Promise<ChildProcess> => {
  for (const directory of directoriesOf(cgroup)) mkdirSync(directory, { recursive: true })
  for (const { directory, controllers } of hierarchies().used)
    if (controllers.includes('cpuset')) initCpuset(directory, cgroup)
  const child = spawn('sh', ['-c', `read go; ${line}`], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  for (const directory of directoriesOf(cgroup)) writeFileSync(join(directory, 'cgroup.procs'), String(child.pid))
  child.stdin!.write('\n')
  return child
}

const ticks = (pid: number) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return Number(fields[11]) + Number(fields[12])
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('cgroups', () => {
  test('parents: path, runtime form, listing', async () => {
    const parent = ensureParent(id, { driver: 'cgroupfs' })
    expect(parent.path).toBe(`/tscontainer/${id}`)
    expect(parent.cgroupsPathOf('c')).toBe(`/tscontainer/${id}/c`)
    expect(parent.controllers).toContain('memory')
    const slice = ensureParent(id, { driver: 'systemd' })
    expect(slice.cgroupsPathOf('c1')).toBe(`tscontainer-${id}.slice:tscontainer:c1`)
    expect(slice.pathOf('c1')).toBe(`/tscontainer.slice/tscontainer-${id}.slice/tscontainer-c1.scope`)
    await inCgroup('exec sleep 100', join(path, 'c'))
    expect(listParents()).toContain(id)
    expect(() => ensureParent('../x')).toThrow('cannot name a cgroup')
  })

  test('killTree ends daemons, ignorers, forkers and paused ones, below too', async () => {
    const child = await inCgroup(
      'trap "" TERM; echo; for n in 1 2 3; do (while :; do sleep 0.001; done) & done; wait',
      join(path, 'a'),
    )
    const paused = await inCgroup('echo; sleep 1000 & wait', join(path, 'b/inner'))
    await Promise.all([once(child.stdout!, 'data'), once(paused.stdout!, 'data')])
    await freeze(join(path, 'b/inner'))
    expect(processesOf(path).length).toBeGreaterThanOrEqual(5)
    const ends = Promise.all([once(child, 'exit'), once(paused, 'exit')])
    await killTree(path)
    expect(processesOf(path)).toEqual([])
    expect((await ends).map(([, signal]) => signal)).toEqual(['SIGKILL', 'SIGKILL'])
    await killTree(path)
    await killTree(`${path}/never-there`)
    await removeTree(path)
    await removeTree(path)
    for (const { directory } of hierarchies().all) expect(existsSync(join(directory, path))).toBe(false)
  })

  test('removeTree ends nothing and says what holds the cgroup', async () => {
    const child = await inCgroup('exec sleep 1000', join(path, 'c'))
    await expect(removeTree(path, { timeoutMs: 60 })).rejects.toMatchObject({
      code: 'host.stuck',
      details: { pids: [child.pid] },
    })
    expect(child.exitCode).toBe(null)
    await expect(removeTree(path, { signal: AbortSignal.timeout(30) })).rejects.toMatchObject({ name: 'AbortError' })
  })

  test('freeze stops the processor, thaw lets it go on', async () => {
    const child = await inCgroup('while :; do :; done', join(path, 'busy'))
    await freeze(path)
    expect(isFrozen(path)).toBe(true)
    const before = ticks(child.pid!)
    await pause(60)
    expect(ticks(child.pid!)).toBe(before)
    await thaw(path)
    expect(isFrozen(path)).toBe(false)
    await pause(150)
    expect(ticks(child.pid!)).toBeGreaterThan(before)
    await expect(freeze(`${path}/never-there`)).rejects.toMatchObject({ kind: 'not_found' })
  })

  test('kills for want of memory are counted', async () => {
    const cgroup = join(path, 'small')
    expect(readOomKills(cgroup)).toBe(0)
    for (const directory of directoriesOf(cgroup)) {
      mkdirSync(directory, { recursive: true })
      for (const limit of ['memory.limit_in_bytes', 'memory.max'])
        if (existsSync(join(directory, limit))) writeFileSync(join(directory, limit), '8388608')
    }
    const child = await inCgroup('x=$(head -c 64000000 /dev/zero | tr "\\\\0" x)', cgroup)
    await once(child, 'exit')
    expect(readOomKills(cgroup)).toBeGreaterThanOrEqual(1)
  })
})
