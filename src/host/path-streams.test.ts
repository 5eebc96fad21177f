import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readHostTables, settledLeaks } from '../testing/leak-check.ts'
import { streamFrom, streamTo } from './path-streams.ts'
import { makeFifo } from './pipe.ts'

let scratch: string
let fifo: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'path-streams-'))
  fifo = join(scratch, 'fifo')
  makeFifo(fifo)
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

const bash = (script: string) => spawn('bash', ['-euc', script], { stdio: ['pipe', 'pipe', 'inherit'], cwd: scratch })
const bytes = randomBytes(5_000_000)
const sha256sum = `${createHash('sha256').update(bytes).digest('hex')}  -\n`
const descriptors = { parts: ['descriptors'] } as const

test('what a slow writer puts into a FIFO is read whole, however late it comes', async () => {
  const before = await readHostTables(descriptors)
  const reading = buffer(streamFrom(fifo))
  await sleep(100)
  const writer = bash('exec > fifo; sleep 0.1; head -c 3000000; sleep 0.2; cat')
  await pipeline(Readable.from([bytes]), writer.stdin)
  expect((await reading).equals(bytes)).toBe(true)
  expect(await settledLeaks(before, descriptors)).toEqual([])
})

test('a slow reader of a FIFO gets it whole, however late it comes', async () => {
  const before = await readHostTables(descriptors)
  const opening = streamTo(fifo, {}, 'The test')
  await sleep(100)
  const reader = bash('exec < fifo; sleep 0.1; (head -c 2000000; sleep 0.2; cat) | sha256sum')
  const said = text(reader.stdout)
  await pipeline(Readable.from([bytes]), await opening)
  expect(await said).toBe(sha256sum)
  expect(await settledLeaks(before, descriptors)).toEqual([])
})

test('nobody at the other end: the wait can be given up, and holds no thread of the pool', async () => {
  const before = await readHostTables(descriptors)
  const writes = Array.from({ length: 5 }, () => streamTo(fifo, { signal: AbortSignal.timeout(50) }, 'The test'))
  for (const write of writes) await expect(write).rejects.toMatchObject({ kind: 'aborted', message: /^The test/ })
  const reads = Array.from({ length: 5 }, () => streamFrom(fifo))
  await sleep(50)
  expect(await Promise.race([buffer(streamFrom('/proc/self/stat')), sleep(5000, 'no thread is free')])).toBeInstanceOf(
    Buffer,
  )
  for (const read of reads) read.destroy()
  await Promise.all(reads.map((read) => once(read, 'close')))
  expect(await settledLeaks(before, descriptors)).toEqual([])
})

test('a reader that goes is told of', async () => {
  const reader = bash('exec < fifo; head -c 1000')
  await expect(pipeline(Readable.from([bytes]), await streamTo(fifo, {}, 'The test'))).rejects.toMatchObject({
    code: 'EPIPE',
  })
  reader.kill()
})

test('files and devices are what they are', async () => {
  await pipeline(Readable.from([bytes]), await streamTo(join(scratch, 'file'), {}, 'The test'))
  expect(readFileSync(join(scratch, 'file')).equals(bytes)).toBe(true)
  expect((await buffer(streamFrom(join(scratch, 'file')))).equals(bytes)).toBe(true)
  expect(await buffer(streamFrom('/dev/null'))).toHaveLength(0)
  await expect(buffer(streamFrom(join(scratch, 'none')))).rejects.toMatchObject({ code: 'ENOENT' })
})
