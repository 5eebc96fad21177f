import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeFifo, openFifo } from '../../host/pipe.ts'
import { type BusyboxRoot, busyboxRoot } from './busybox-engine.ts'
import { tarOf } from './image-fixture.ts'

// In processes of their own: what they are about is how a process ends.
const large = 'large:local'
let place: BusyboxRoot
let fifo: string

beforeAll(async () => {
  place = await busyboxRoot()
  fifo = join(place.directory, 'fifo')
  makeFifo(fifo)
  const tar = join(place.directory, 'large.tar')
  const files = Array.from({ length: 60 }, (_, nth) => ({ name: `file-${nth}`, body: randomBytes(1 << 20) }))
  writeFileSync(tar, await tarOf(files))
  await using engine = await place.open()
  await engine.images.importRootfs(tar, { reference: large })
})
afterAll(async () => {
  await place[Symbol.asyncDispose]()
})

async function run(...args: readonly string[]) {
  const file = join(import.meta.dirname, 'transfer-ends-child.ts')
  // What hangs cannot be asked to end: the thread that waits keeps the process.
  const child = spawn(process.execPath, [file, place.root, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 20_000,
    killSignal: 'SIGKILL',
  })
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code: child.exitCode, signal: child.signalCode, output, errors }
}

describe.each(['load', 'import', 'save', 'export'])('%s, and a named pipe whose other end', (call) => {
  test.each(['is not there', 'stalls'])('%s', async (other) => {
    const end = other === 'stalls' ? openFifo(fifo, 'both') : null
    try {
      const exited = { code: 7, signal: null, output: '', errors: '' }
      expect(await run(call, fifo, 'exit', large)).toEqual(exited)
      expect(await run(call, fifo, 'abort', large)).toEqual({ ...exited, code: 0, output: 'AbortError' })
    } finally {
      if (end !== null) closeSync(end)
    }
  })
})

test.each(['save', 'save-layout', 'export'])(
  '%s to a file: a process that ends takes its draft along',
  async (call) => {
    const directory = join(place.directory, call)
    mkdirSync(directory)
    const path = join(directory, 'target')
    for (let round = 0; round < 3; round++) {
      expect(await run(call, path, 'exit', large)).toEqual({ code: 7, signal: null, output: '', errors: '' })
      expect(await run(call, path, 'throw', large)).toMatchObject({ code: 1, signal: null, errors: /not caught/ })
      expect(readdirSync(directory)).toEqual([])
    }
  },
)
