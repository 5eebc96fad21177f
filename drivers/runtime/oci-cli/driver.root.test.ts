import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BundleFixture, openBundleFixture } from '../../../src/testing/system/bundle-fixture.ts'

describe.each(['crun', 'runc'])('oci-cli with %s', (binary) => {
  let fixture: BundleFixture

  beforeAll(async () => {
    fixture = await openBundleFixture(binary)
    for (const [name, text] of [
      ['junk', '\u0001\u0002junk'],
      ['no-interpreter', '#!/bin/nowhere\n'],
      ['no-shebang', 'echo hi\n'],
      ['script', '#!/bin/sh\nexit 1\n'],
    ] as const) {
      writeFileSync(join(fixture.rootfs, 'bin', name), text)
      chmodSync(join(fixture.rootfs, 'bin', name), 0o755)
    }
    mkdirSync(join(fixture.rootfs, 'bin/directory'))
  })
  afterAll(() => fixture?.[Symbol.asyncDispose]())

  test('says what it is', () => {
    expect(fixture.driver.facts).toMatchObject({ runtime: binary, seccomp: fixture.driver.seccompForm })
    expect(fixture.driver.seccompForm).toBe(binary === 'crun' ? 'crun-bpf' : 'profile')
  })

  test('the output and the codes of programs', async () => {
    expect(await fixture.run(['/bin/true'])).toMatchObject({ exitCode: 0, signal: null, oomKilled: false })
    expect(await fixture.run(['/bin/false'])).toMatchObject({ exitCode: 1, signal: null })
    expect(await fixture.run(['script'])).toMatchObject({ exitCode: 1 })
    const talk = await fixture.run(['sh', '-c', 'echo out; echo err >&2; hostname; pwd; exit 7'])
    expect(talk).toMatchObject({ exitCode: 7, stdout: 'out\nbox\n/\n', stderr: 'err\n' })
    expect(fixture.leftovers()).toEqual([])
  })

  test.each([
    ['/bin/nothing', 'runtime.command_not_found', 127],
    ['nothing', 'runtime.command_not_found', 127],
    ['/etc/passwd', 'runtime.command_not_executable', 126],
    ['/bin/directory', 'runtime.command_not_executable', 126],
    ['/bin/junk', 'runtime.command_not_executable', 126],
    ['junk', 'runtime.command_not_executable', 126],
    ['/bin/no-shebang', 'runtime.command_not_executable', 126],
    ['/bin/no-interpreter', 'runtime.command_not_executable', 126],
  ])('%s fails with %s', async (program, code, exitCode) => {
    await expect(fixture.run([program])).rejects.toMatchObject({ code })
    expect(fixture.leftovers()).toEqual([])
    const sleeper = fixture.bundle(fixture.spec(['sleep', '60']))
    const task = await fixture.driver.run(sleeper.id, sleeper.bundle)
    sleeper.given()
    const { process } = fixture.spec([program])
    const streams = fixture.bundle(fixture.spec([program]))
    const failure = await task.exec(process, streams.bundle.stdio).catch((error: unknown) => error)
    streams.given()
    expect(failure).toMatchObject({ code, details: { exitCode } })
    await task.killAll()
    expect(await task.exited).toMatchObject({ exitCode: 137, signal: 'SIGKILL' })
    expect(fixture.leftovers()).toEqual([])
  })

  test('a spec that the runtime refuses is a failed start, with its words', async () => {
    const spec = fixture.spec(['/bin/true'], {
      userMounts: [
        {
          type: 'bind',
          source: '/nowhere/at/all',
          target: '/x',
          readOnly: false,
          propagation: 'rprivate',
          recursive: true,
        },
      ],
    })
    const prepared = fixture.bundle(spec)
    await expect(fixture.driver.run(prepared.id, prepared.bundle)).rejects.toMatchObject({
      code: 'runtime.start_failed',
      message: expect.stringContaining('/nowhere/at/all'),
    })
    prepared.given()
    expect(fixture.leftovers()).toEqual([])
  })

  test('signals reach the first process; their names come back', async () => {
    for (const [signal, name, code] of [
      [15, 'SIGTERM', 143],
      [9, 'SIGKILL', 137],
      [37, 'SIGRTMIN+3', 165],
    ] as const) {
      const prepared = fixture.bundle(fixture.spec(['sh', '-c', `trap 'exit ${code}' TERM; echo up; sleep 60 & wait`]))
      const task = await fixture.driver.run(prepared.id, prepared.bundle)
      prepared.given()
      expect(task.pid).toBeGreaterThan(1)
      expect(fixture.host.processes.identityOf(task.pid)?.startTime).toBe(task.startTime)
      // The trap is set once it has spoken; SIGTERM would not reach a first process without one.
      await new Promise((resolve) => setTimeout(resolve, 100))
      if (signal === 37) await task.kill(9)
      else await task.kill(signal)
      const exit = await task.exited
      if (signal !== 37) expect(exit).toMatchObject({ exitCode: code, signal: name })
      await task.kill(signal)
      await prepared.output
    }
    expect(await fixture.run(['sh', '-c', 'exit 165'])).toMatchObject({ exitCode: 165, signal: 'SIGRTMIN+3' })
    expect(fixture.leftovers()).toEqual([])
  })

  test('out of memory is told apart from a kill', async () => {
    const resources = { memory: { limit: 16 << 20 } }
    const hog = 'head -c 100m /dev/zero | tail'
    expect(await fixture.run(['sh', '-c', `${hog}; exit 3`], { resources })).toMatchObject({ oomKilled: true })
    const fine = await fixture.run(['sh', '-c', 'kill -9 $$; exit 4'], { resources })
    expect(fine).toMatchObject({ oomKilled: false })
    expect(fixture.leftovers()).toEqual([])
  })

  test('exec: streams apart, code, user and environment of its own, signals to it alone', async () => {
    const prepared = fixture.bundle(fixture.spec(['sleep', '60']))
    const task = await fixture.driver.run(prepared.id, prepared.bundle)
    prepared.given()
    const streams = fixture.bundle(fixture.spec(['true']))
    const { process } = fixture.spec(['sh', '-c', 'echo out; echo err >&2; id -u; echo $A; pwd; exit 9'], {
      user: { uid: 1000, gid: 1000, additionalGids: [1000], home: '/' },
      env: ['A=b'],
      workdir: '/tmp',
    })
    const exec = await task.exec(process, streams.bundle.stdio)
    streams.given()
    expect(await exec.exited).toEqual({ exitCode: 9, signal: null })
    expect(await streams.output).toEqual({ stdout: 'out\n1000\nb\n/tmp\n', stderr: 'err\n' })

    const more = fixture.bundle(fixture.spec(['true']))
    const long = await task.exec(fixture.spec(['sleep', '50']).process, more.bundle.stdio)
    more.given()
    expect(await task.processes()).toEqual(expect.arrayContaining([task.pid, long.pid]))
    await long.kill(15)
    expect(await long.exited).toEqual({ exitCode: 143, signal: 'SIGTERM' })
    expect(await task.processes()).toEqual([task.pid])
    await task.killAll()
    await task.exited
    const late = fixture.bundle(fixture.spec(['true']))
    await expect(task.exec(process, late.bundle.stdio)).rejects.toMatchObject({ code: 'runtime.not_running' })
    late.given()
    expect(fixture.leftovers()).toEqual([])
  })

  test('pause, resume, update', async () => {
    const prepared = fixture.bundle(fixture.spec(['sleep', '60'], { resources: { pids: { limit: 50 } } }))
    const task = await fixture.driver.run(prepared.id, prepared.bundle)
    prepared.given()
    await task.pause()
    const cgroup = prepared.bundle.spec.linux.cgroupsPath!
    await task.update({ pids: { limit: 77 } })
    await task.resume()
    const { readFileSync } = await import('node:fs')
    const { directoriesOf } = await import('../../../src/host/cgroup/hierarchy.ts')
    const limits = directoriesOf(cgroup).flatMap((directory) => {
      try {
        return [readFileSync(join(directory, 'pids.max'), 'utf8').trim()]
      } catch {
        return []
      }
    })
    expect(limits).toEqual(['77'])
    await task.killAll()
    await task.exited
    await expect(task.pause()).rejects.toMatchObject({ code: 'runtime.not_running' })
    expect(fixture.leftovers()).toEqual([])
  })

  test('an abort while it starts leaves nothing', async () => {
    for (const delay of [0, 3, 8]) {
      const prepared = fixture.bundle(fixture.spec(['sleep', '60']))
      const abort = new AbortController()
      const timer = setTimeout(() => abort.abort(new Error('enough')), delay)
      const result = await fixture.driver
        .run(prepared.id, prepared.bundle, { signal: abort.signal })
        .catch((e: unknown) => e)
      clearTimeout(timer)
      prepared.given()
      if (result instanceof Error) expect(result).toMatchObject({ name: 'AbortError', kind: 'aborted' })
      else await (result as Awaited<ReturnType<typeof fixture.driver.run>>).killAll()
      await prepared.output
      if (!(result instanceof Error)) await (result as Awaited<ReturnType<typeof fixture.driver.run>>).exited
      expect(fixture.leftovers()).toEqual([])
    }
  })

  test('a killed runtime takes its container along', async () => {
    const prepared = fixture.bundle(fixture.spec(['sleep', '60']))
    const task = await fixture.driver.run(prepared.id, prepared.bundle)
    prepared.given()
    const { readFileSync } = await import('node:fs')
    const parent = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${task.pid}/status`, 'utf8'))?.[1])
    const identity = fixture.host.processes.identityOf(task.pid)!
    process.kill(parent, 'SIGKILL')
    expect(await task.exited).toMatchObject({ exitCode: 137, signal: 'SIGKILL' })
    expect(fixture.host.processes.isAlive(identity)).toBe(false)
    expect(fixture.leftovers()).toEqual([])
  })
})
