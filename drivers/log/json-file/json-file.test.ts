import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  write,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import type {
  LogDriver,
  LogEntry,
  LogQuery,
  LogReader,
  LogSink,
  LogStream,
} from '../../../src/driver-kit/log-driver.ts'
import { createPipe } from '../../../src/host/pipe.ts'
import { iterateBatches } from '../../../src/logging/batch-iterator.ts'
import { resumeLogPump } from '../../../src/logging/log-pump.ts'
import { StoredFollower } from '../../../src/logging/stored-follower.ts'
import { jsonFileLog } from './index.ts'

const writeAsync = promisify(write)
const readLog = (reader: LogReader, query: LogQuery = {}): AsyncIterable<LogEntry> =>
  iterateBatches(() => new StoredFollower(reader, query, null))
const followReader = (reader: LogReader, query: LogQuery, ended: AbortSignal): AsyncIterable<LogEntry> =>
  iterateBatches(() => new StoredFollower(reader, query, ended))
const id = 'c'.repeat(64)

interface Bed {
  readonly directory: string
  readonly path: string
  readonly driver: LogDriver
  sink(
    options?: Record<string, string>,
  ): Promise<LogSink & Required<Pick<LogSink, 'read' | 'lastSequence' | 'lastTime'>>>
  reader(): Promise<LogReader>
}

async function bed(): Promise<Bed> {
  const directory = mkdtempSync(join(tmpdir(), 'json-file-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const context = { directory, runDirectory: directory, diagnostics: (d: unknown) => expect.fail(JSON.stringify(d)) }
  const driver = (await jsonFileLog.open(context as never, {})) as LogDriver
  const subject = { containerId: id, directory, labels: { team: 'a"b', other: 'x' }, env: { STAGE: 'test' } } as never
  return {
    directory,
    path: join(directory, `${id}-json.log`),
    driver,
    sink: async (options = {}) => {
      const sink = await driver.openSink(subject, driver.parseSinkOptions(options))
      onTestFinished(() => sink[Symbol.asyncDispose]())
      return sink as never
    },
    reader: () => driver.openReader!(subject, {}),
  }
}

let count = 0
const entry = (text: string | Buffer, more: Partial<LogEntry> = {}): LogEntry => {
  const bytes = Buffer.from(text as string)
  const sequence = more.sequence ?? BigInt(++count)
  return {
    stream: 'stdout',
    time: 1_767_323_045_123_456_789n,
    text: bytes.toString(),
    bytes,
    partial: null,
    ...more,
    sequence,
  }
}

const collect = async (entries: AsyncIterable<LogEntry>): Promise<LogEntry[]> => {
  const all: LogEntry[] = []
  for await (const item of entries) all.push(item)
  return all
}
const texts = async (entries: AsyncIterable<LogEntry>): Promise<string[]> =>
  (await collect(entries)).map(({ text }) => text)

/** A log of `lines` numbered lines, one a second, every third on stderr. */
async function numbered(sink: LogSink, lines: number, from = 1): Promise<void> {
  const batch = Array.from({ length: lines }, (_, n) =>
    entry(`line ${from + n} ${'.'.repeat(80)}`, {
      sequence: BigInt(from + n),
      time: BigInt(from + n) * 1_000_000_000n,
      stream: (from + n) % 3 === 0 ? 'stderr' : 'stdout',
    }),
  )
  for (let at = 0; at < batch.length; at += 500) await sink.write(batch.slice(at, at + 500))
}
const numbers = async (entries: AsyncIterable<LogEntry>): Promise<number[]> =>
  (await collect(entries)).map(({ text, sequence }) => {
    expect(text.split(' ')[1]).toBe(String(sequence))
    return Number(sequence)
  })

describe('format', () => {
  test('lines are those of Docker, byte for byte', async () => {
    const { path, sink: open } = await bed()
    const sink = await open()
    await sink.write([
      entry('hello'),
      entry('', { stream: 'stderr' }),
      entry('a"b\\c\td\re\0\x7f\x1b[0m'),
      entry('<a href="x">&</a>'),
      entry('grün ✓ 💡 \u2028 \u2029 \ufffd'),
      entry(Buffer.from('ok\xff\xe2\x28\xa1', 'latin1')),
      entry('piece', { partial: { id: '1', ordinal: 1, last: false } }),
      entry('end', { partial: { id: '1', ordinal: 2, last: true } }),
      entry('whole second', { time: 1_767_323_045_000_000_000n }),
      entry('zeros cut', { time: 1_767_323_045_120_000_000n }),
    ])
    const time = '"time":"2026-01-02T03:04:05.123456789Z"'
    expect(readFileSync(path, 'utf8').split('\n')).toEqual([
      `{"log":"hello\\n","stream":"stdout",${time}}`,
      `{"log":"\\n","stream":"stderr",${time}}`,
      `{"log":"a\\"b\\\\c\\u0009d\\re\\u0000\x7f\\u001b[0m\\n","stream":"stdout",${time}}`,
      `{"log":"\\u003ca href=\\"x\\"\\u003e\\u0026\\u003c/a\\u003e\\n","stream":"stdout",${time}}`,
      `{"log":"grün ✓ 💡 \\u2028 \\u2029 \ufffd\\n","stream":"stdout",${time}}`,
      `{"log":"ok\\ufffd\\ufffd(\\ufffd\\n","stream":"stdout",${time},"raw":"b2v/4iih"}`,
      `{"log":"piece","stream":"stdout",${time}}`,
      `{"log":"end\\n","stream":"stdout",${time}}`,
      `{"log":"whole second\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}`,
      `{"log":"zeros cut\\n","stream":"stdout","time":"2026-01-02T03:04:05.12Z"}`,
      '',
    ])
    expect(statSync(path).mode & 0o777).toBe(0o640)
  })

  test('labels and env become attributes; unknown options are refused by name', async () => {
    const { path, driver, sink: open } = await bed()
    const sink = await open({ labels: 'team,absent', env: 'STAGE' })
    await sink.write([entry('x', { timeIsApproximate: true }), entry('y')])
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    expect(lines[0]).toContain(',"attrs":{"STAGE":"test","team":"a\\"b","timeIsApproximate":"true"},"time"')
    expect(lines[1]).toContain(',"attrs":{"STAGE":"test","team":"a\\"b"},"time"')
    const [approximate, exact] = await collect(sink.read({}))
    expect([approximate!.timeIsApproximate, exact!.timeIsApproximate]).toEqual([true, undefined])
    expect(() => driver.parseSinkOptions({ 'max-size': '10m' })).toThrow(/"max-size".*env, labels/)
  })

  test('what Docker wrote is read: attributes, other key orders, no log', async () => {
    const { path, reader } = await bed()
    writeFileSync(
      path,
      [
        '{"log":"a\\n","stream":"stderr","attrs":{"tag":"x"},"time":"2026-01-02T03:04:05.5Z"}',
        '{"time":"2026-01-02T04:04:06+01:00","stream":"stdout","log":"\\ud83d\\udca1\\n"}',
        'not json',
        '{"stream":"stdout","time":"2026-01-02T03:04:07Z"}',
        '',
      ].join('\n'),
    )
    const found = await collect((await reader()).read({}))
    expect(found.map(({ text, stream, time, sequence }) => [text, stream, time / 1_000_000n, sequence])).toEqual([
      ['a', 'stderr', 1767323045500n, 1n],
      ['💡', 'stdout', 1767323046000n, 2n],
      ['', 'stdout', 1767323047000n, 4n],
    ])
  })
})

describe('reading', () => {
  test('tail, since, until, streams and after on a log of several MiB', async () => {
    const { directory, sink: open, reader: openReader } = await bed()
    const sink = await open()
    const total = 30_000
    await numbered(sink, total)
    expect(readdirSync(directory).sort()).toEqual([`${id}-json.log`, `${id}-json.log.index`])
    const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)
    const second = (n: number) => BigInt(n) * 1_000_000_000n
    for (const reader of [sink, await openReader()]) {
      const read = (query: LogQuery) => numbers(reader.read(query))
      expect(await read({ tail: 3 })).toEqual([29_998, 29_999, 30_000])
      expect(await read({ tail: 0 })).toEqual([])
      expect((await read({ tail: 40_000 })).length).toBe(total)
      expect(await read({ tail: 2, streams: ['stderr'] })).toEqual([29_997, 30_000])
      expect(await read({ since: second(29_999) })).toEqual([29_999, 30_000])
      expect(await read({ since: second(12_345) - 1n, until: second(12_347) })).toEqual([12_345, 12_346, 12_347])
      expect(await read({ until: new Date(3000) })).toEqual([1, 2, 3])
      expect(await read({ until: second(20_000), tail: 2 })).toEqual([19_999, 20_000])
      expect(await read({ since: second(29_000), tail: 1000, streams: ['stderr'] })).toHaveLength(334)
      expect(await read({ after: 17_000n, until: second(17_003) })).toEqual([17_001, 17_002, 17_003])
      expect(await read({ after: 30_000n })).toEqual([])
      expect(await read({ after: 99_999n })).toEqual([])
      expect(await read({ since: second(40_000) })).toEqual([])
      expect(await read({})).toEqual(range(1, total))
      expect(await reader.lastSequence()).toBe(30_000n)
    }
  })

  test('the tail of a huge file reads only its end', async () => {
    const { path, reader } = await bed()
    const huge = 3 * 2 ** 30
    const line = `{"log":"${'x'.repeat(200)}\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}\n`
    writeFileSync(path, line)
    truncateSync(path, huge)
    appendFileSync(path, `\n${line.repeat(10)}`)
    writeFileSync(`${path}.index`, `${huge + 1} 7\n`)
    const started = performance.now()
    const found = await collect((await reader()).read({ tail: 2, streams: ['stdout'] }))
    expect(found.map(({ sequence }) => sequence)).toEqual([16n, 17n])
    expect(performance.now() - started).toBeLessThan(1000)
  })

  test('a tail counts a line in pieces once and begins with its first piece', async () => {
    const { sink: open } = await bed()
    const sink = await open()
    const piece = (n: number, last: boolean) =>
      entry(`${n}`.repeat(16384).slice(0, 16384), { partial: { id: 'p', ordinal: n, last } })
    await sink.write([
      entry('before'),
      piece(1, false),
      entry('other', { stream: 'stderr' }),
      piece(2, false),
      entry('error', { stream: 'stderr' }),
      piece(3, true),
    ])
    const read = async (tail: number) => (await collect(sink.read({ tail }))).map(({ text }) => text.slice(0, 5))
    expect(await read(1)).toEqual(['11111', '22222', '33333'])
    expect(await read(2)).toEqual(['11111', '22222', 'error', '33333'])
    expect(await read(4)).toEqual(['befor', '11111', 'other', '22222', 'error', '33333'])
    const joined = await collect(readLog(sink, { tail: 2 }))
    expect(joined.map(({ text }) => text.length)).toEqual([5, 3 * 16384])
    expect(joined.every(({ partial }) => partial === null)).toBe(true)
  })

  test('reading while the file grows gives whole lines only, and followers of the file miss nothing', async () => {
    const { path, sink: open, reader: openReader } = await bed()
    const reader = await openReader()
    expect(await texts(reader.read({}))).toEqual([])
    expect(await reader.lastSequence()).toBe(0n)
    const ended = new AbortController()
    const all = numbers(followReader(reader, {}, ended.signal))
    const sink = await open()
    await numbered(sink, 1000)
    const late = numbers(followReader(await openReader(), { tail: 2 }, ended.signal))
    await new Promise((resolve) => setTimeout(resolve, 50))
    appendFileSync(path, '{"log":"torn')
    await new Promise((resolve) => setTimeout(resolve, 50))
    truncateSync(path, readFileSync(path).lastIndexOf('\n') + 1)
    await numbered(sink, 1000, 1001)
    ended.abort()
    expect((await all).length).toBe(2000)
    expect((await late).slice(0, 3)).toEqual([999, 1000, 1001])
  })

  test('removing is idempotent and takes everything along', async () => {
    const { directory, driver, sink: open } = await bed()
    const sink = await open()
    await numbered(sink, 10_000)
    await sink[Symbol.asyncDispose]()
    const subject = { containerId: id, directory } as never
    await driver.removeLog!(subject, {})
    await driver.removeLog!(subject, {})
    expect(readdirSync(directory)).toEqual([])
    await expect(sink.write([entry('late')])).rejects.toMatchObject({ code: 'json_file.closed' })
  })
})

describe('crashes', () => {
  test('a torn last line is taken off at opening, and counting goes on', async () => {
    const { path, sink: open } = await bed()
    const first = await open()
    await numbered(first, 12_000)
    await first[Symbol.asyncDispose]()
    const whole = readFileSync(path)
    for (const torn of ['{', '{"log":"x\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}', 'x'.repeat(200_000)]) {
      writeFileSync(path, whole)
      appendFileSync(path, torn)
      const sink = await open()
      expect(await sink.lastSequence()).toBe(12_000n)
      expect(await sink.lastTime()).toBe(12_000_000_000_000n)
      expect(statSync(path).size).toBe(whole.length)
      await numbered(sink, 1, 12_001)
      expect(await numbers(sink.read({ tail: 2 }))).toEqual([12_000, 12_001])
      await sink[Symbol.asyncDispose]()
    }
  })

  test('an index that is torn, too new or missing costs nothing but time', async () => {
    const { path, sink: open } = await bed()
    const first = await open()
    await numbered(first, 20_000)
    await first[Symbol.asyncDispose]()
    const index = readFileSync(`${path}.index`, 'utf8')
    for (const text of ['', 'garbage\n', index.slice(0, -3), `${index}999999999 99999999\n`]) {
      writeFileSync(`${path}.index`, text)
      const sink = await open()
      expect(await sink.lastSequence()).toBe(20_000n)
      await sink[Symbol.asyncDispose]()
    }
  })

  test('SIGKILL in the middle of writing leaves whole lines in order', async () => {
    const { directory, path, sink: open } = await bed()
    const writer = `
      import { jsonFileLog } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
      import { resumeLogPump } from ${JSON.stringify(join(import.meta.dirname, '../../../src/logging/log-pump.ts'))}
      import { createPipe } from ${JSON.stringify(join(import.meta.dirname, '../../../src/host/pipe.ts'))}
      const driver = await jsonFileLog.open({ diagnostics: console.error }, {})
      const sink = await driver.openSink({ containerId: ${JSON.stringify(id)}, directory: ${JSON.stringify(directory)}, labels: {}, env: {} }, { labels: [], env: [] })
      const pump = await resumeLogPump({ stdout: 0, stderr: createPipe().read, sink, diagnostics: console.error })
      await pump.finished`
    for (let round = 0; round < 4; round++) {
      const earlier = await open()
      const before = await earlier.lastSequence()
      await earlier[Symbol.asyncDispose]()
      const size = statSync(path).size
      const source = spawn('sh', ['-c', 'i=0; while :; do i=$((i+1)); echo "$i some text"; done'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      const args = ['--conditions=tscontainer-source', '--input-type=module', '-e', writer]
      const child = spawn(process.execPath, args, { stdio: [source.stdout, 'ignore', 'inherit'] })
      while (statSync(path).size < size + 20_000) await new Promise((resolve) => setTimeout(resolve, 7))
      child.kill('SIGKILL')
      await once(child, 'close')
      source.kill('SIGKILL')
      const sink = await open()
      const found = (await collect(sink.read({ after: before }))).map(({ text }) => Number.parseInt(text, 10))
      expect(found.length).toBeGreaterThan(0)
      expect(found).toEqual(found.map((_, n) => n + 1))
      await sink[Symbol.asyncDispose]()
    }
  })

  test('a full disk refuses the batch as a whole, and takes it when there is room', async () => {
    const { path, sink: open } = await bed()
    const sink = await open()
    await numbered(sink, 10)
    const size = statSync(path).size
    const limit = (soft: string) => execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${soft}:`])
    // A file size limit fails in the middle of a write as a full disk does; Node ignores its signal.
    process.on('SIGXFSZ', () => {})
    onTestFinished(() => void process.removeAllListeners('SIGXFSZ'))
    limit(String(size + 100))
    try {
      await expect(numbered(sink, 10, 11)).rejects.toMatchObject({ code: 'json_file.write_failed', retryable: true })
    } finally {
      limit('unlimited')
    }
    expect(statSync(path).size).toBe(size)
    await numbered(sink, 10, 11)
    expect(await numbers(sink.read({}))).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
  })
})

describe('the whole way', () => {
  /** Seeded: a failure can be repeated. */
  const random = (seed: number) => () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return seed / 2 ** 32
  }

  const bytesOf = (entries: readonly LogEntry[], stream: LogStream): Buffer =>
    Buffer.concat(
      entries
        .filter((item) => item.stream === stream)
        .flatMap(({ bytes, partial }) => [bytes, Buffer.from(partial === null || partial.last ? '\n' : '')]),
    )

  test.each([1, 2, 3, 4])('random bytes in random chunks come back exactly (seed %i)', async (seed) => {
    const next = random(seed)
    const { sink: open, reader } = await bed()
    const sink = await open()
    const makers = [
      () => Buffer.from('plain text'),
      () => Buffer.alloc(Math.floor(next() * 40_000), 'ab c'),
      () => Buffer.from('grün ✓ 💡 \u2028'),
      () => Buffer.from(Array.from({ length: Math.floor(next() * 300) }, () => Math.floor(next() * 256))),
      () => Buffer.from('{"log":"x\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}'),
      () => Buffer.from('"\\\\n","stream":"stderr",'),
      () => Buffer.alloc(16384, 0xe2),
    ]
    const streams = (['stdout', 'stderr'] as const).map((name) => {
      const parts: Buffer[] = []
      for (let n = 0; n < 150; n++) {
        parts.push(makers[Math.floor(next() * makers.length)]!())
        if (next() < 0.8) parts.push(Buffer.from('\n'))
      }
      return { name, bytes: Buffer.concat(parts), pipe: createPipe() }
    })
    const [out, err] = [streams[0]!, streams[1]!]
    const pump = await resumeLogPump({
      stdout: out.pipe.read,
      stderr: err.pipe.read,
      sink,
      diagnostics: (d) => expect.fail(d.message),
    })
    const live = collect(pump.follow({ rejoin: false }))
    await Promise.all(
      streams.map(async ({ bytes, pipe }) => {
        for (let at = 0; at < bytes.length; ) {
          const length = next() < 0.3 ? 1 : Math.floor(next() * 30_000)
          at += (await writeAsync(pipe.write, bytes, at, Math.min(length, bytes.length - at))).bytesWritten
        }
        closeSync(pipe.write)
      }),
    )
    await pump.finished
    const stored = await collect(sink.read({}))
    const elsewhere = await collect((await reader()).read({}))
    for (const entries of [await live, stored, elsewhere]) {
      expect(entries.map(({ sequence }) => Number(sequence))).toEqual(entries.map((_, n) => n + 1))
      for (const { name, bytes } of streams) expect(bytesOf(entries, name).equals(bytes)).toBe(true)
      for (let n = 1; n < entries.length; n++) expect(entries[n]!.time >= entries[n - 1]!.time).toBe(true)
    }
    const whole = async (entries: AsyncIterable<LogEntry>) => (await collect(entries)).map(({ text }) => text)
    expect(await whole(readLog(await reader()))).toEqual(await whole(pump.follow()))
  })

  test('a million lines: none lost, none twice, memory bounded', async () => {
    const { sink: open } = await bed()
    const sink = await open()
    const [out, err] = [createPipe(), createPipe()]
    const child = spawn('sh', ['-c', 'seq 1 1000000'], { stdio: ['ignore', out.write, err.write] })
    closeSync(out.write)
    closeSync(err.write)
    const pump = await resumeLogPump({
      stdout: out.read,
      stderr: err.read,
      sink,
      diagnostics: (d) => expect.fail(d.message),
    })
    let seen = 0
    let wrong = 0
    for await (const { text } of pump.follow()) if (text !== String(++seen)) wrong++
    expect([seen, wrong]).toEqual([1_000_000, 0])
    await pump.finished
    expect(await sink.lastSequence()).toBe(1_000_000n)
    expect(await texts(sink.read({ tail: 2 }))).toEqual(['999999', '1000000'])
    if (child.exitCode === null) await once(child, 'close')
    const again = await open()
    expect(await again.lastSequence()).toBe(1_000_000n)
  })

  test('a follower that comes late catches up with a fast program: the program waits for its reading', async () => {
    const { sink: open } = await bed()
    const sink = await open()
    const lines = 600_000
    let reread = 0
    const counting: LogSink = {
      write: (batch) => sink.write(batch),
      flush: () => sink.flush(),
      read: (query) => sink.read(query),
      async *readBatches(query) {
        for await (const batch of sink.readBatches!(query)) {
          reread += batch.length
          yield batch
        }
      },
      [Symbol.asyncDispose]: async () => {},
    }
    const out = createPipe()
    const command = `yes ${'x'.repeat(99)} | head -n ${lines}`
    const child = spawn('sh', ['-c', command], { stdio: ['ignore', out.write, 'ignore'] })
    closeSync(out.write)
    const err = createPipe()
    closeSync(err.write)
    const diagnostics = (d: { message: string }) => expect.fail(d.message)
    const pump = await resumeLogPump({ stdout: out.read, stderr: err.read, sink: counting, diagnostics })
    while (pump.stats.entries < 100_000) await new Promise((resolve) => setImmediate(resolve))
    let seen = 0
    for await (const { text } of pump.follow()) seen += text.length
    expect(seen).toBe(lines * 99)
    expect(reread).toBeLessThan(lines / 2)
    await pump.finished
    if (child.exitCode === null) await once(child, 'close')
  })
})
