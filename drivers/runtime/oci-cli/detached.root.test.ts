import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContainerId } from '../../../src/driver-kit/ids.ts'
import type { Bundle } from '../../../src/driver-kit/runtime-driver.ts'
import { type BundleFixture, openBundleFixture } from '../../../src/testing/system/bundle-fixture.ts'

const starter = join(import.meta.dirname, '../../../src/testing/system/detached-starter.ts')

describe.each(['crun', 'runc'])('detached containers with %s', (binary) => {
  let fixture: BundleFixture
  beforeAll(async () => {
    fixture = await openBundleFixture(binary)
  })
  afterAll(() => fixture?.[Symbol.asyncDispose]())

  /** Starts a container from another process, which is alive when this resolves. */
  async function startElsewhere(argv: readonly string[], waitForStart = true) {
    const prepared = fixture.bundle(fixture.spec(argv), { lifetime: 'detached' })
    prepared.given()
    const output = join(prepared.bundle.directory, 'output')
    const { stdio: _, ...bundle } = prepared.bundle
    const args = [fixture.context.runDirectory, binary, prepared.id, output, JSON.stringify(bundle)]
    const process_ = spawn(process.execPath, ['--conditions=tscontainer-source', starter, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (waitForStart) await once(process_.stdout, 'data')
    return { ...prepared, starter: process_, read: () => readFileSync(output, 'utf8') }
  }

  async function kill(child: ChildProcess): Promise<void> {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  const adopt = (id: ContainerId, bundle: Bundle) => fixture.driver.adopt(id, bundle)

  test('start here: code, signal, nothing left', async () => {
    const prepared = fixture.bundle(fixture.spec(['sh', '-c', 'echo hi; exit 9']), { lifetime: 'detached' })
    const task = await fixture.driver.run(prepared.id, prepared.bundle)
    prepared.given()
    expect(await task.exited).toMatchObject({ exitCode: 9, signal: null })
    // Until then something keeps the pipes open, so that what they hold waits for whoever takes it.
    task.releaseOutput?.()
    expect(await prepared.output).toEqual({ stdout: 'hi\n', stderr: '' })
    expect(fixture.leftovers()).toEqual([])
  })

  test('a program that is not there', async () => {
    const prepared = fixture.bundle(fixture.spec(['nothing']), { lifetime: 'detached' })
    await expect(fixture.driver.run(prepared.id, prepared.bundle)).rejects.toMatchObject({
      code: 'runtime.command_not_found',
    })
    prepared.given()
    expect(fixture.leftovers()).toEqual([])
  })

  test('outlives its starter; another process gets its code', async () => {
    const started = await startElsewhere(['sh', '-c', 'echo one; sleep 1; echo two; exit 23'])
    await kill(started.starter)
    const task = await adopt(started.id, started.bundle)
    expect(fixture.host.processes.identityOf(task!.pid)?.startTime).toBe(task!.startTime)
    expect(await task!.exited).toMatchObject({ exitCode: 23, signal: null })
    expect(started.read()).toBe('one\ntwo\n')
    // The code stays for whoever asks next.
    expect(await (await adopt(started.id, started.bundle))!.exited).toMatchObject({ exitCode: 23 })
    expect(fixture.leftovers()).toEqual([])
    await fixture.driver.sweep(started.id, started.bundle)
    expect(await adopt(started.id, started.bundle)).toBeNull()
  })

  test('ends while nobody looks', async () => {
    const started = await startElsewhere(['sh', '-c', 'exit 41'])
    await kill(started.starter)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(await (await adopt(started.id, started.bundle))!.exited).toMatchObject({ exitCode: 41 })
    expect(fixture.leftovers()).toEqual([])
  })

  test('an adopted container takes commands', async () => {
    const started = await startElsewhere(['sleep', '60'])
    await kill(started.starter)
    const task = (await adopt(started.id, started.bundle))!
    const streams = fixture.bundle(fixture.spec(['true']))
    const exec = await task.exec(fixture.spec(['sh', '-c', 'echo in; exit 4']).process, streams.bundle.stdio)
    streams.given()
    expect(await exec.exited).toEqual({ exitCode: 4, signal: null })
    expect((await streams.output).stdout).toBe('in\n')
    await task.kill(9)
    expect(await task.exited).toMatchObject({ exitCode: 137, signal: 'SIGKILL' })
    expect(fixture.leftovers()).toEqual([])
  })

  test('a killed wrapper: the end is noticed, the code is lost', async () => {
    const started = await startElsewhere(['sleep', '60'])
    await kill(started.starter)
    const task = (await adopt(started.id, started.bundle))!
    const wrapper = Number(readFileSync(join(started.bundle.directory, 'runtime.wrapper'), 'utf8'))
    process.kill(-wrapper, 'SIGKILL')
    await task.kill(9)
    expect(await task.exited).toMatchObject({ exitCode: 137 })
    expect(fixture.leftovers()).toEqual([])
  })

  test('sweep ends one that runs, and one whose start was cut at any moment', async () => {
    const running = await startElsewhere(['sleep', '60'])
    await kill(running.starter)
    const { pid } = (await adopt(running.id, running.bundle))!
    await fixture.driver.sweep(running.id, running.bundle)
    await fixture.driver.sweep(running.id, running.bundle)
    expect(existsSync(`/proc/${pid}/ns/pid`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toBeFalsy()
    expect(fixture.leftovers()).toEqual([])
    for (const delay of [120, 140, 150, 160, 170, 180, 200]) {
      const cut = await startElsewhere(['sleep', '60'], false)
      await new Promise((resolve) => setTimeout(resolve, delay))
      await kill(cut.starter)
      await fixture.driver.sweep(cut.id, cut.bundle)
      expect(fixture.leftovers()).toEqual([])
      expect(commandsWith(cut.id)).toEqual([])
    }
  })

  test('a container that nobody started is not found', async () => {
    const prepared = fixture.bundle(fixture.spec(['true']))
    prepared.given()
    expect(await adopt(prepared.id, prepared.bundle)).toBeNull()
    mkdirSync(join(fixture.context.runDirectory, 'state'), { recursive: true })
  })
})

/** Processes that have the text in their command line. */
function commandsWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        return command.includes(text) ? [command.replaceAll('\0', ' ')] : []
      } catch {
        return []
      }
    })
}
