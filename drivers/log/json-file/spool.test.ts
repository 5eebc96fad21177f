import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { LogDriver, LogEntry, LogSink, LogStream } from '../../../src/driver-kit/log-driver.ts'
import { makeFifo, openFifo, setPipeCapacity } from '../../../src/host/pipe.ts'
import { type LogPump, resumeLogPump } from '../../../src/logging/log-pump.ts'
import { jsonFileLog } from './index.ts'

const source = (path: string): string => JSON.stringify(join(import.meta.dirname, path))

/** FIFOs, and pumps on them in this process or another, as a holder of detached containers has them. */
async function bed() {
  const directory = mkdtempSync(join(tmpdir(), 'spool-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const fifos = { stdout: join(directory, 'stdout'), stderr: join(directory, 'stderr') }
  makeFifo(fifos.stdout)
  makeFifo(fifos.stderr)
  const subject = { containerId: 'x', directory, labels: {}, env: {} } as never
  const driver = (await jsonFileLog.open({ diagnostics: () => {} } as never, {})) as LogDriver
  const openSink = (): Promise<LogSink> => driver.openSink(subject, { labels: [], env: [] })
  const openPump = (sink: LogSink, adopted: boolean): Promise<LogPump> =>
    resumeLogPump({
      stdout: openFifo(fifos.stdout, 'both'),
      stderr: openFifo(fifos.stderr, 'both'),
      sink,
      adopted,
      spoolDirectory: directory,
      diagnostics: (d) => expect.fail(d.message),
    })
  const holder = () => {
    const program = `
      import { jsonFileLog } from ${source('index.ts')}
      import { resumeLogPump } from ${source('../../../src/logging/log-pump.ts')}
      import { openFifo } from ${source('../../../src/host/pipe.ts')}
      const directory = ${JSON.stringify(directory)}
      const driver = await jsonFileLog.open({ diagnostics: console.error }, {})
      const sink = await driver.openSink({ containerId: 'x', directory, labels: {}, env: {} }, { labels: [], env: [] })
      const [stdout, stderr] = ['stdout', 'stderr'].map((name) => openFifo(directory + '/' + name, 'both'))
      await resumeLogPump({ stdout, stderr, sink, adopted: true, spoolDirectory: directory, diagnostics: console.error })
      process.send('ready')`
    const args = ['--conditions=tscontainer-source', '--input-type=module', '-e', program]
    return spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  }
  /** Both streams open for both directions, as a detached container has them. */
  const writers = () => {
    const out = openSync(fifos.stdout, constants.O_RDWR)
    const err = openSync(fifos.stderr, constants.O_RDWR)
    setPipeCapacity(out, 1 << 20)
    setPipeCapacity(err, 1 << 20)
    return { out, err }
  }
  return { directory, openSink, openPump, holder, writers }
}

async function bytesOf(sink: LogSink, stream: LogStream): Promise<string> {
  const parts: Uint8Array[] = []
  const newline = Buffer.from('\n')
  for await (const { bytes, partial } of sink.read!({ streams: [stream] })) {
    parts.push(bytes)
    if (partial === null || partial.last) parts.push(newline)
  }
  return Buffer.concat(parts).toString()
}

const spools = (directory: string): string[] => readdirSync(directory).filter((name) => name.includes('.spool.'))

// What the program writes is a function of the line's number, so that the test can make it again: lines of all lengths,
// some longer than a piece, cut anywhere.
const lineOf = (n: number): string => `${n} ${'abcdefghij'.repeat(n % 97 === 0 ? 4000 : (n * 7919) % 23)}\n`
const lines = 8000

test('holders that are SIGKILLed one after another lose no byte of a program that goes on writing', async () => {
  const { directory, openSink, openPump, holder, writers } = await bed()
  const { out, err } = writers()
  const program = `
    const { writeSync } = require('node:fs')
    const all = (fd, text) => { for (let at = 0, b = Buffer.from(text); at < b.length; ) at += writeSync(fd, b, at, Math.min(b.length - at, 1 + (at * 31 + b.length) % 30000)) }
    const lineOf = ${lineOf}
    for (let n = 1; n <= ${lines}; n++) { all(1, lineOf(n)); if (n % 10 === 0) all(2, 'error ' + n + '\\n')
      if (n % 50 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2) }
    all(1, 'no newline')`
  const writer = spawn(process.execPath, ['-e', program], { stdio: ['ignore', out, err] })
  // Somebody who outlives the holders keeps the FIFOs open: with nobody left the kernel throws away what they hold.
  onTestFinished(() => {
    closeSync(out)
    closeSync(err)
  })
  const written = once(writer, 'exit')
  let kills = 0
  for (let seed = 1; writer.exitCode === null; kills++) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    const child = holder()
    await once(child, 'message')
    await sleep((seed >>> 8) % 16)
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  expect(kills).toBeGreaterThan(3)
  const sink = await openSink()
  const pump = await openPump(sink, true)
  expect((await written)[0]).toBe(0)
  await pump.drainAndFinish()
  const wanted = Array.from({ length: lines }, (_, n) => lineOf(n + 1)).join('')
  const got = await bytesOf(sink, 'stdout')
  expect(got.length).toBe(wanted.length + 10)
  expect(got === `${wanted}no newline`).toBe(true)
  const errors = Array.from({ length: lines / 10 }, (_, n) => `error ${(n + 1) * 10}\n`).join('')
  expect((await bytesOf(sink, 'stderr')) === errors).toBe(true)
  expect(spools(directory)).toEqual([])
  await sink[Symbol.asyncDispose]()
}, 40_000)

test('handing over in the middle of a line keeps the line whole, and adopted output is marked', async () => {
  const { directory, openSink, openPump, writers } = await bed()
  const { out, err } = writers()
  const first = await openSink()
  const before = await openPump(first, false)
  writeSync(out, 'one\nhal')
  while (before.stats.bytes.stdout < 7) await sleep(2)
  await before.stop()
  await first[Symbol.asyncDispose]()
  expect(spools(directory).length).toBe(2)
  writeSync(out, 'f\nwhile nobody looked\n')
  const sink = await openSink()
  const pump = await openPump(sink, true)
  const live: LogEntry[] = []
  const following = (async () => {
    for await (const entry of pump.follow()) live.push(entry)
  })()
  while (live.length < 3) await sleep(2)
  writeSync(out, 'after\n')
  while (live.length < 4) await sleep(2)
  closeSync(out)
  closeSync(err)
  await pump.drainAndFinish()
  await following
  expect(live.map(({ text, timeIsApproximate }) => [text, timeIsApproximate ?? false])).toEqual([
    ['one', false],
    ['half', true],
    ['while nobody looked', true],
    ['after', false],
  ])
  expect(spools(directory)).toEqual([])
  await sink[Symbol.asyncDispose]()
})

test('a spool is begun anew now and then, so that it stays small', async () => {
  const { directory, openSink, openPump, writers } = await bed()
  const { out, err } = writers()
  const sink = await openSink()
  const pump = await openPump(sink, false)
  const program = `seq 1 3000000`
  const writer = spawn('sh', ['-c', program], { stdio: ['ignore', out, err] })
  closeSync(out)
  closeSync(err)
  const bases = new Set<string>()
  const watching = setInterval(() => {
    for (const name of spools(directory)) bases.add(name)
  }, 20)
  await once(writer, 'exit')
  await pump.drainAndFinish()
  clearInterval(watching)
  expect(pump.stats.entries).toBe(3_000_000)
  expect(bases.size).toBeGreaterThan(2)
  expect(spools(directory)).toEqual([])
  await sink[Symbol.asyncDispose]()
})
