import { getEventListeners, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodeJson, FrameReader } from './frames.ts'
import { HolderClient } from './holder-client.ts'
import { type HeldStreams, type HolderServer, serveHolder } from './holder-server.ts'
import { windowBytes } from './protocol.ts'

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

const plain = { stdin: false, replay: false }

async function attach(signal?: AbortSignal, stdin = false) {
  const client = new HolderClient(socketPath)
  const streams = await client.tryAttach('id', { stdin, replay: false, signal })
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
    await expect(client.tryAttach('id', { ...plain, ...call })).rejects.toMatchObject({ code: 'call.aborted' })
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
    await expect(client.tryAttach('id', plain)).rejects.toMatchObject({ code: 'call.disposed' })
  })
})

const mebibyte = 1 << 20

/** Writes `bytes` in pieces, each beginning with its number, and counts what was taken of them. */
function flood(bytes: number) {
  const pieceBytes = 65536
  const taken = { bytes: 0, left: false }
  async function* output(): Output {
    try {
      for (let number = 0; number * pieceBytes < bytes; number++) {
        const piece = Buffer.alloc(pieceBytes)
        piece.writeUInt32BE(number)
        taken.bytes += pieceBytes
        yield piece
      }
    } finally {
      taken.left = true
    }
  }
  const expectWhole = (read: Buffer) => {
    expect(read.length).toBe(bytes)
    for (let at = 0; at < bytes; at += pieceBytes) expect(read.readUInt32BE(at)).toBe(at / pieceBytes)
  }
  return { output, taken, expectWhole }
}

async function* text(...parts: readonly string[]): Output {
  for (const part of parts) yield Buffer.from(part)
}

/** Reads so slowly that what comes has to wait. */
async function readSlowly(output: Output): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of output) {
    parts.push(part)
    await sleep(1)
  }
  return Buffer.concat(parts)
}

describe('the two output streams', () => {
  test('one that nobody reads does not hold up the other, and waits whole for a later reader', async () => {
    const errors = flood(8 * mebibyte)
    await hold(text('out 1\n', 'out 2\n'), errors.output())
    const { streams } = await attach()
    expect(await read(streams.stdout)).toBe('out 1\nout 2\n')
    expect(errors.taken.bytes).toBeLessThanOrEqual(windowBytes + mebibyte)
    errors.expectWhole(await readSlowly(streams.stderr))
  })

  test('a reader that pauses gets every byte, and no more than a window waits for it', async () => {
    const program = flood(8 * mebibyte)
    await hold(program.output())
    const { streams } = await attach()
    const iterator = streams.stdout[Symbol.asyncIterator]()
    const first = (await iterator.next()).value as Buffer
    await sleep(100)
    expect(program.taken.bytes).toBeLessThanOrEqual(first.length + windowBytes + mebibyte)
    const rest = await readSlowly({ [Symbol.asyncIterator]: () => iterator })
    program.expectWhole(Buffer.concat([first, rest]))
  })

  test('are whole for many at once, one after the other', async () => {
    const programs = new Map(
      Array.from({ length: 40 }, (_, i) => [`${i}`, { out: flood(mebibyte), err: flood(mebibyte) }]),
    )
    const attachOne = async (id: string): Promise<HeldStreams> => {
      const { out, err } = programs.get(id)!
      const output = { stdout: out.output(), stderr: err.output(), [Symbol.dispose]() {} }
      return { output, writeStdin: null, endStdin: null }
    }
    server = await serveHolder(socketPath, { start: async () => {}, attach: attachOne }, () => {})
    const client = new HolderClient(socketPath)
    const reading = [...programs].map(async ([id, { out, err }]) => {
      const streams = (await client.tryAttach(id, plain))!
      out.expectWhole(await readSlowly(streams.stdout))
      err.expectWhole(await readSlowly(streams.stderr))
    })
    await Promise.all(reading)
    await expect.poll(() => server!.connections).toBe(0)
  })

  test('do not wait for input that the program does not take', async () => {
    const program = flood(8 * mebibyte)
    await hold(program.output(), nothing(), { writeStdin: () => new Promise(() => {}) })
    const { streams } = await attach(undefined, true)
    streams.stdin!.write(Buffer.alloc(16 * mebibyte))
    program.expectWhole(await readSlowly(streams.stdout))
  })

  test('one that is destroyed is let go by the holder', async () => {
    const errors = flood(64 * mebibyte)
    await hold(talk(), errors.output())
    const { streams } = await attach()
    streams.stderr.destroy()
    await expect.poll(() => errors.taken.left).toBe(true)
    for await (const part of streams.stdout) if (part) break
  })

  test('keep the process alive while somebody waits for them, and no longer', async () => {
    // What is kept alive: the server, its end of the connection, and ours.
    const pipes = () => process.getActiveResourcesInfo().filter((name) => /Pipe/.test(name)).length
    const { promise: go, resolve } = Promise.withResolvers<void>()
    await hold(
      (async function* () {
        await go
        yield Buffer.from('last')
      })(),
      flood(mebibyte).output(),
    )
    const { streams } = await attach()
    await sleep(20)
    const unread = pipes()
    const reading = read(streams.stdout)
    await sleep(20)
    expect(pipes()).toBe(unread + 1)
    resolve()
    expect(await reading).toBe('last')
    expect(pipes()).toBe(unread)
    streams.detach()
  })

  test('fail when the holder dies, and say what it says when it fails; what has ended is whole', async () => {
    await hold(talk(), text('whole'))
    const { streams } = await attach()
    const reading = read(streams.stdout)
    await sleep(20)
    await server![Symbol.asyncDispose]()
    await expect(reading).rejects.toMatchObject({ code: 'holder.lost', retryable: true })
    expect(await read(streams.stderr)).toBe('whole')
    await hold(
      (async function* (): Output {
        yield Buffer.from('some')
        throw new Error('the log is gone')
      })(),
    )
    const failing = await attach()
    await expect(read(failing.streams.stdout)).rejects.toThrow(/the log is gone/)
  })

  test('come unasked to a peer with protocol 2', async () => {
    await hold(text('x'.repeat(mebibyte)), text('y'.repeat(mebibyte)))
    const socket = connect({ path: socketPath })
    socket.write(encodeJson({ protocol: 2, op: 'attach', id: 'id', stdin: false }))
    const reader = new FrameReader()
    const bytes = { stdout: 0, stderr: 0, over: 0 }
    socket.on('data', (chunk) => {
      for (const { kind, payload } of reader.push(chunk))
        if (kind === 'over') bytes.over++
        else if (kind === 'stdout' || kind === 'stderr') bytes[kind] += payload.length
    })
    await once(socket, 'close')
    expect(bytes).toEqual({ stdout: mebibyte, stderr: mebibyte, over: 1 })
  })
})

describe('a peer that vanishes', () => {
  test('before it is answered leaves nothing attached', async () => {
    const { promise: go, resolve } = Promise.withResolvers<void>()
    let left = false
    const output = {
      stdout: talk(),
      stderr: nothing(),
      [Symbol.dispose]() {
        left = true
      },
    }
    const attachLate = async (): Promise<HeldStreams> => {
      await go
      return { output, writeStdin: null, endStdin: null }
    }
    server = await serveHolder(socketPath, { start: async () => {}, attach: attachLate }, () => {})
    await expect(attach(AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'call.aborted' })
    await expect.poll(() => server!.connections).toBe(0)
    resolve()
    await expect.poll(() => left).toBe(true)
  })

  test('while its stream waits for room lets the stream go', async () => {
    const program = flood(64 * mebibyte)
    await hold(program.output())
    const { streams } = await attach()
    await sleep(20)
    expect(program.taken.left).toBe(false)
    streams.detach()
    await expect.poll(() => program.taken.left).toBe(true)
  })
})
