import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hierarchies } from './cgroup/hierarchy.ts'
import { ensureParent } from './cgroup/parent.ts'
import { processesOf, removeTree } from './cgroup/tree.ts'
import { engineMarker, startGuard } from './guard.ts'
import { identityOf, isAlive } from './process-identity.ts'

const until = async (done: () => boolean, ms = 5000) => {
  const start = performance.now()
  while (!done()) {
    if (performance.now() - start > ms) throw new Error(`not reached within ${ms} ms: ${done}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return performance.now() - start
}

/** Pids whose environment holds the marker. */
const marked = (id: string): string[] =>
  readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${engineMarker}=${id}`)
    } catch {
      return false
    }
  })

let scratch: string
let id: string
const started: ChildProcess[] = []

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'guard-'))
  id = randomBytes(8).toString('hex')
})

afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
  await removeTree(`/tscontainer/${id}`)
  rmSync(scratch, { recursive: true, force: true })
})

/** An engine in a process of its own, which runs `count` containers of busybox and says so. */
const engine = async (count: number): Promise<ChildProcess> => {
  const rootfs = join(scratch, 'rootfs')
  for (const folder of ['bin', 'proc', 'dev', 'sys']) mkdirSync(join(rootfs, folder), { recursive: true })
  cpSync('/bin/busybox', join(rootfs, 'bin/busybox'))
  for (const applet of ['sh', 'sleep']) symlinkSync('busybox', join(rootfs, 'bin', applet))
  const program = join(scratch, 'engine.ts')
  const host = import.meta.dirname
  writeFileSync(
    program,
    `
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createLauncher } from '${host}/launcher-client.ts'
import { ensureParent } from '${host}/cgroup/parent.ts'
import { startGuard } from '${host}/guard.ts'
const scratch = ${JSON.stringify(scratch)}
const cgroups = ensureParent(${JSON.stringify(id)})
const guard = await startGuard({ engineId: ${JSON.stringify(id)}, cgroups })
const launcher = createLauncher({ diagnostics: console.error })
for (let n = 0; n < ${count}; n++) {
  const folder = scratch + '/c' + n
  for (const name of ['upper', 'work', 'root', 'bundle']) mkdirSync(folder + '/' + name, { recursive: true })
  execFileSync('crun', ['spec'], { cwd: folder + '/bundle' })
  const spec = JSON.parse(readFileSync(folder + '/bundle/config.json', 'utf8'))
  spec.process.terminal = false
  // One that has daemons, and ignores what can be ignored.
  spec.process.args = ['/bin/sh', '-c', 'trap "" TERM HUP INT; sleep 1000 & (sleep 1000 &) ; while :; do sleep 1000; done']
  spec.root = { path: folder + '/root', readonly: false }
  spec.linux.cgroupsPath = cgroups.cgroupsPathOf('c' + n)
  writeFileSync(folder + '/bundle/config.json', JSON.stringify(spec))
  await launcher.launch({
    root: { target: folder + '/root', mounts: [{ type: 'overlay', source: 'overlay', options: ['lowerdir=' + scratch + '/rootfs', 'upperdir=' + folder + '/upper', 'workdir=' + folder + '/work'] }] },
    file: 'crun',
    args: ['--root', scratch + '/state', 'run', '--bundle', folder + '/bundle', 'g${id}' + n],
    env: { PATH: process.env.PATH, ${engineMarker}: ${JSON.stringify(id)} },
    stdio: ['ignore', 'ignore', 2],
    session: 'own',
  })
}
console.log(guard.pid)
setInterval(() => {}, 1000)
`,
  )
  const child = spawn(process.execPath, ['--conditions=tscontainer-source', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  started.push(child)
  return child
}

const firstLine = (child: ChildProcess) =>
  new Promise<string>((resolve) => child.stdout!.once('data', (data) => resolve(String(data).trim())))

describe('guard', () => {
  test('SIGKILL of the engine and its group ends every container and removes the cgroups', async () => {
    const child = await engine(3)
    const guard = identityOf(Number(await firstLine(child)))!
    await until(() => processesOf(`/tscontainer/${id}`).length >= 9)
    const members = processesOf(`/tscontainer/${id}`).map((pid) => identityOf(pid)!)
    expect(marked(id).length).toBeGreaterThanOrEqual(3)
    process.kill(-child.pid!, 'SIGKILL')
    const took = await until(() => members.every((member) => !isAlive(member)) && marked(id).length === 0)
    // Some 25 ms on a quiet machine.
    expect(took).toBeLessThan(2000)
    await until(() => !isAlive(guard))
    for (const { directory } of hierarchies().all) expect(existsSync(join(directory, 'tscontainer', id))).toBe(false)
  })

  test('ends what has the marker and is in no cgroup yet, and nothing else', async () => {
    const other = spawn('sleep', ['1000'], { env: { [engineMarker]: `${id}0` } })
    const child = spawn('sleep', ['1000'], { env: { [engineMarker]: id }, detached: true })
    started.push(other, child)
    const program = `
      import { startGuard } from '${import.meta.dirname}/guard.ts'
      await startGuard({ engineId: '${id}', cgroups: { path: '/tscontainer/${id}' } })
      process.kill(process.pid, 'SIGKILL')
    `
    const engine = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' })
    started.push(engine)
    await new Promise((resolve) => child.once('exit', resolve))
    expect(child.signalCode).toBe('SIGKILL')
    expect(other.exitCode).toBe(null)
    expect(other.signalCode).toBe(null)
  })

  test('disposal ends the guard and nothing else; its session is its own', async () => {
    const child = spawn('sleep', ['1000'], { env: { [engineMarker]: id } })
    started.push(child)
    const guard = await startGuard({ engineId: id, cgroups: ensureParent(id) })
    const fields = readFileSync(`/proc/${guard.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    expect(Number(fields[3])).toBe(guard.pid)
    for (const line of readFileSync(`/proc/${guard.pid}/cgroup`, 'utf8').trim().split('\n'))
      expect(line).toMatch(/:\/(tscontainer-aux)?$/)
    await guard[Symbol.asyncDispose]()
    await guard[Symbol.asyncDispose]()
    expect(await guard.exited).toEqual({ code: 0, signal: null })
    expect(child.signalCode).toBe(null)
  })

  test('says when it was killed, so that another can be started', async () => {
    const guard = await startGuard({ engineId: id, cgroups: ensureParent(id) })
    process.kill(guard.pid, 'SIGKILL')
    expect(await guard.exited).toEqual({ code: null, signal: 'SIGKILL' })
    await guard[Symbol.asyncDispose]()
  })

  test('is not ended by signals that a terminal or a service manager sends', async () => {
    const guard = await startGuard({ engineId: id, cgroups: ensureParent(id) })
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(guard.pid, signal)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(identityOf(guard.pid)).not.toBe(null)
    await guard[Symbol.asyncDispose]()
  })
})
