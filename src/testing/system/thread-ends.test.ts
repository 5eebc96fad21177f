import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type BusyboxRoot, busyboxRoot } from './busybox-engine.ts'
import { ociLayoutFiles, tarOf } from './image-fixture.ts'
import { momentsTimeout, randomNumbers } from './random-moments.ts'

// In processes of their own: what went wrong here has ended the whole process.
const full = process.env['TSCONTAINER_FULL'] === '1'
const aborts = full ? 1000 : 120
const exits = full ? 300 : 40

let place: BusyboxRoot
let archive: string

beforeAll(async () => {
  place = await busyboxRoot()
  archive = join(place.directory, 'files.tar')
  const files = Array.from({ length: 300 }, (_, n) => ({ name: `file-${n}`, body: 'x'.repeat(n) }))
  await writeFile(
    archive,
    await tarOf(ociLayoutFiles([{ layers: [await tarOf(files)], tags: ['files:1'] }], 'gzip', true).files),
  )
})
afterAll(async () => {
  await place[Symbol.asyncDispose]()
})

type Ending = 'abort' | 'exit' | 'exit-export' | 'abort-and-exit' | 'exit-around' | 'terminate'

async function run(what: Ending, number: number) {
  const file = join(import.meta.dirname, 'thread-ends-child.ts')
  const child = spawn(process.execPath, [file, place.root, archive, what, String(number)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code: child.exitCode, signal: child.signalCode, output, errors }
}

test(
  `abort at ${aborts} moments of each call that has a thread ends the call, not the process`,
  async () => {
    const { output, ...end } = await run('abort', aborts)
    expect(end).toEqual({ code: 0, signal: null, errors: '' })
    expect(output).toMatch(/^\d+ aborted, 0 problems\n$/)
    expect(Number.parseInt(output, 10)).toBeGreaterThan(aborts / 4)
  },
  momentsTimeout,
)

test(
  `process.exit at ${exits} moments gives its code, whatever threads are doing`,
  async () => {
    const random = randomNumbers(5)
    for (let nth = 0; nth < exits; nth++) {
      // Threads are the most sensitive when they begin.
      const after = random(4) > 0 ? random(120) : random(400)
      expect({ after, ...(await run('exit', after)) }).toEqual({ after, code: 7, signal: null, output: '', errors: '' })
    }
    await using engine = await place.open()
    await engine.gc()
    expect((await engine.check()).problems).toEqual([])
  },
  momentsTimeout,
)

test.each(['exit-export', 'abort-and-exit', 'exit-around', 'terminate'] as const)(
  'a thread that waits for the reader of its export keeps nobody: %s',
  async (what) => {
    const begun = performance.now()
    expect(await run(what, 1500)).toEqual({ code: 7, signal: null, output: '', errors: '' })
    // It would wait for ever, or until the process gives it up.
    expect(performance.now() - begun).toBeLessThan(5500)
  },
)
