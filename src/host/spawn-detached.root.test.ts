import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { directoriesOf } from './cgroup/hierarchy.ts'
import { killTree, removeTree } from './cgroup/tree.ts'
import { identityOf, isAlive, signalProcess } from './process-identity.ts'
import { spawnDetached } from './spawn-detached.ts'

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'detached-'))
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

describe('detached processes', () => {
  test('arguments, environment, descriptors, umask and exit status', async () => {
    const fd = openSync(join(scratch, 'out'), 'w')
    const { pid, exited } = await spawnDetached({
      file: '/bin/sh',
      args: ['-c', 'echo "$A|$1|$$"; umask; pwd; exit 5', 'name', '$(id) "*"'],
      env: { A: 'b c' },
      stdio: ['ignore', fd, fd],
    })
    closeSync(fd)
    const keepAlive = setInterval(() => {}, 1000)
    expect(await exited).toEqual({ code: 5, signal: null })
    clearInterval(keepAlive)
    expect(readFileSync(join(scratch, 'out'), 'utf8')).toBe(`b c|$(id) "*"|${pid}\n0022\n/\n`)
  })

  test('what is missing is said at once', async () => {
    const request = { args: [], env: {}, stdio: [] }
    await expect(spawnDetached({ ...request, file: '/no/program' })).rejects.toMatchObject({ kind: 'not_found' })
    await expect(spawnDetached({ ...request, file: '/etc/passwd' })).rejects.toMatchObject({
      kind: 'permission_denied',
    })
    await expect(spawnDetached({ ...request, file: '/bin/true', cwd: '/none' })).rejects.toMatchObject({
      kind: 'not_found',
    })
  })

  test("survives the end of its caller's group and cgroup", async () => {
    const cgroup = `/tscontainer-job-${randomBytes(4).toString('hex')}`
    // The systemd and freezer trees need no set-up; being ended by any tree is enough.
    const trees = directoriesOf(cgroup).filter((directory) => !directory.includes('cpuset'))
    for (const directory of trees) mkdirSync(directory, { recursive: true })
    const program = `
      import { spawnDetached } from '${import.meta.dirname}/spawn-detached.ts'
      import { writeFileSync } from 'node:fs'
      import { once } from 'node:events'
      await once(process.stdin, 'data')
      const { pid } = await spawnDetached({ file: '/bin/sleep', args: ['1000'], env: {}, stdio: ['ignore', 'ignore', 'ignore'] })
      console.log(pid)
      setInterval(() => {}, 1000)`
    const job = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    })
    for (const directory of trees) writeFileSync(join(directory, 'cgroup.procs'), String(job.pid))
    job.stdin.write('go\n')
    const [line] = (await once(job.stdout, 'data')) as [Buffer]
    const identity = identityOf(Number(line))!
    await expect.poll(() => readFileSync(`/proc/${identity.pid}/comm`, 'utf8')).toBe('sleep\n')
    expect(readFileSync(`/proc/${identity.pid}/cgroup`, 'utf8')).not.toContain(cgroup)
    expect(readFileSync(`/proc/${identity.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[3]).toBe(String(identity.pid))
    const ended = once(job, 'exit')
    await killTree(cgroup)
    await ended
    await removeTree(cgroup)
    expect(isAlive(identity)).toBe(true)
    signalProcess(identity, 'SIGKILL')
    await expect.poll(() => isAlive(identity)).toBe(false)
  })

  test('does not keep its caller alive', async () => {
    const program = `
      import { spawnDetached } from '${import.meta.dirname}/spawn-detached.ts'
      const { pid } = await spawnDetached({ file: '/bin/sleep', args: ['60'], env: {}, stdio: ['ignore', 'ignore', 'ignore'] })
      console.log(pid)`
    const start = performance.now()
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    await once(child, 'exit')
    expect(performance.now() - start).toBeLessThan(30_000)
    process.kill(Number(line), 'SIGKILL')
  })
})
