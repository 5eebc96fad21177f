import { getEventListeners } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { HolderClient } from './holder-client.ts'
import { type HeldStreams, type HolderServer, serveHolder } from './holder-server.ts'

let directory: string
let socketPath: string
let server: HolderServer | null

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tscontainer-holder-'))
  socketPath = join(directory, 'holder.sock')
  server = null
})

afterEach(async () => {
  await server?.[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

type Output = AsyncIterable<Uint8Array>

/** Holds one program, which writes what the generators give. */
async function hold(stdout: Output, stderr: Output = nothing(), input: Partial<HeldStreams> = {}): Promise<void> {
  const output = { stdout, stderr, [Symbol.dispose]() {} }
  const streams: HeldStreams = { output, writeStdin: null, endStdin: null, ...input }
  server = await serveHolder(socketPath, { start: async () => {}, attach: async () => streams }, () => {})
}

async function* nothing(): Output {}

/** Writes a line every few milliseconds. */
async function* talk(): Output {
  for (;;) {
    yield Buffer.from('line\n')
    await sleep(2)
  }
}

async function attach(signal?: AbortSignal, stdin = false) {
  const client = new HolderClient(socketPath)
  const streams = await client.tryAttach('id', stdin, { signal })
  return { client, streams: streams! }
}

async function read(output: Output): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of output) parts.push(part)
  return Buffer.concat(parts).toString()
}

describe('the signal of an attachment', () => {
  test('ends the reading of both streams, and what is written', async () => {
    await hold(talk(), nothing(), { writeStdin: () => new Promise(() => {}) })
    const control = new AbortController()
    const { streams } = await attach(control.signal, true)
    const reading = read(streams.stdout)
    const writing = new Promise((resolve) => streams.stdin!.once('error', resolve))
    streams.stdin!.write('never taken')
    await sleep(20)
    control.abort()
    await expect(reading).rejects.toMatchObject({ code: 'call.aborted' })
    await expect(read(streams.stderr)).rejects.toMatchObject({ code: 'call.aborted' })
    expect(await writing).toMatchObject({ code: 'call.aborted' })
    await expect.poll(() => server!.connections).toBe(0)
    expect(getEventListeners(control.signal, 'abort')).toEqual([])
  })

  test('is let go when the container has ended, and what came before can still be read', async () => {
    await hold(
      (async function* () {
        yield Buffer.from('all of it')
      })(),
    )
    const control = new AbortController()
    const { streams } = await attach(control.signal)
    await expect.poll(() => getEventListeners(control.signal, 'abort')).toEqual([])
    control.abort()
    expect(await read(streams.stdout)).toBe('all of it')
  })

  test('ends an attachment that is not answered', async () => {
    const silent = createServer(() => {}).listen({ path: socketPath })
    try {
      const control = new AbortController()
      const attaching = attach(control.signal)
      await sleep(20)
      control.abort()
      await expect(attaching).rejects.toMatchObject({ code: 'call.aborted' })
    } finally {
      silent.close()
    }
  })

  test('that has fired before keeps from connecting', async () => {
    const call = { signal: AbortSignal.abort() }
    const client = new HolderClient(socketPath)
    await expect(client.tryAttach('id', false, call)).rejects.toMatchObject({ code: 'call.aborted' })
    await expect(client.tryCall({ op: 'ping' }, call)).rejects.toMatchObject({ code: 'call.aborted' })
  })
})

describe('disposal of the client', () => {
  test('ends what is attached', async () => {
    await hold(talk())
    const { client, streams } = await attach()
    const reading = read(streams.stdout)
    client[Symbol.dispose]()
    expect(await reading).toMatch(/^(line\n)*$/)
    await expect.poll(() => server!.connections).toBe(0)
    await expect(client.tryAttach('id', false)).rejects.toMatchObject({ code: 'call.disposed' })
  })
})
