import { closeSync, readdirSync, write, writeSync } from 'node:fs'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Diagnostic } from '../driver-kit/diagnostics.ts'
import type { LogEntry } from '../driver-kit/log-driver.ts'
import { createPipe } from '../host/pipe.ts'
import { setNonBlocking } from '../host/syscall/descriptor.ts'
import { type LogPump, type LogPumpOptions, startLogPump } from './log-pump.ts'
import { MemorySink } from './testing/memory-sink.ts'

const writeAsync = promisify(write)

/** A pump on two pipes whose writing ends the test holds. */
function pumpOnPipes(options: Partial<LogPumpOptions> = {}) {
  const out = createPipe()
  const err = createPipe()
  const sink = new MemorySink()
  const diagnostics: Diagnostic[] = []
  const pump = startLogPump({
    stdout: out.read,
    stderr: err.read,
    sink,
    firstSequence: 1n,
    diagnostics: (diagnostic) => diagnostics.push(diagnostic),
    ...options,
  })
  const open = new Set([out.write, err.write])
  const end = (fd: number) => {
    if (open.delete(fd)) closeSync(fd)
  }
  const endAll = () => {
    end(out.write)
    end(err.write)
  }
  onTestFinished(async () => {
    endAll()
    await pump.stop()
  })
  return { pump, sink, diagnostics, out: out.write, err: err.write, end, endAll }
}

const textsOf = async (entries: AsyncIterable<LogEntry>, limit = Number.POSITIVE_INFINITY): Promise<string[]> => {
  const texts: string[] = []
  for await (const { text } of entries) {
    texts.push(text)
    if (texts.length >= limit) break
  }
  return texts
}

const bytesOf = async (chunks: AsyncIterable<Uint8Array>): Promise<string> => {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts).toString('latin1')
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

const numbered = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, n) => `line ${from + n}\n`).join('')

const descriptors = (): number => readdirSync('/proc/self/fd').length

describe('log pump', () => {
  test('stores lines of both streams apart, in order, and finishes at their ends', async () => {
    const { pump, sink, out, err, endAll } = pumpOnPipes()
    writeSync(out, 'one\ntwo\n')
    await until(() => sink.entries.length === 2)
    writeSync(err, 'three\nunfinished')
    endAll()
    await pump.finished
    expect(sink.entries.map(({ stream, text, sequence }) => [stream, text, Number(sequence)])).toEqual([
      ['stdout', 'one', 1],
      ['stdout', 'two', 2],
      ['stderr', 'three', 3],
      ['stderr', 'unfinished', 4],
    ])
    expect(sink.entries.at(-1)!.partial).toMatchObject({ ordinal: 1, last: false })
    expect(pump.stats).toEqual({ entries: 4, bytes: { stdout: 8, stderr: 16 }, lostEntries: 0 })
  })

  test('bytes are exact: NUL, CR, empty lines, what is not UTF-8', async () => {
    const { pump, sink, out, endAll } = pumpOnPipes()
    const lines = ['a\0b', 'c\r', '', '\xff\xfe\x80', 'ok']
    writeSync(out, Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1'))
    endAll()
    await pump.finished
    expect(sink.entries.map(({ bytes }) => Buffer.from(bytes).toString('latin1'))).toEqual(lines)
    expect(sink.entries[3]!.text).toContain('\ufffd')
  })

  test('followers that come early, late and in between see every line once', async () => {
    const { pump, sink, out, endAll } = pumpOnPipes()
    const early = textsOf(pump.follow())
    writeSync(out, numbered(1, 500))
    await until(() => sink.entries.length > 0)
    const between = textsOf(pump.follow())
    writeSync(out, numbered(501, 1000))
    endAll()
    await pump.finished
    const all = numbered(1, 1000).split('\n').slice(0, -1)
    expect(await early).toEqual(all)
    expect(await between).toEqual(all)
    expect(await textsOf(pump.follow())).toEqual(all)
    expect(await textsOf(pump.follow({ follow: false }))).toEqual(all)
  })

  test('a slow follower goes on from the stored log and holds up nobody', async () => {
    const { pump, sink, out, endAll } = pumpOnPipes()
    const iterator = pump.follow()[Symbol.asyncIterator]()
    writeSync(out, numbered(1, 1))
    expect((await iterator.next()).value?.text).toBe('line 1')
    const block = 'x'.repeat(1023)
    for (let n = 0; n < 4096; n++) await writeAsync(out, `${block}\n`)
    endAll()
    await pump.finished
    const reads = sink.reads
    let count = 0
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) count++
    expect(count).toBe(4096)
    expect(sink.reads).toBeGreaterThan(reads)
  })

  test('tail, since, until, streams and after', async () => {
    let time = 0n
    const { pump, sink, out, err, endAll } = pumpOnPipes({ now: () => ++time * 1_000_000_000n })
    for (let n = 1; n <= 6; n++) {
      writeSync(n % 2 ? out : err, `${n}\n`)
      await until(() => sink.entries.length === n)
    }
    const at = (n: number): bigint => sink.entries[n - 1]!.time
    const read = (query: Parameters<LogPump['follow']>[0]) => textsOf(pump.follow({ follow: false, ...query }))
    expect(await read({ tail: 2 })).toEqual(['5', '6'])
    expect(await read({ tail: 0 })).toEqual([])
    expect(await read({ since: at(3), until: at(5) })).toEqual(['3', '4', '5'])
    expect(await read({ streams: ['stderr'] })).toEqual(['2', '4', '6'])
    expect(await read({ after: 4n })).toEqual(['5', '6'])
    const { reads } = sink
    const live = textsOf(pump.follow({ tail: 1, streams: ['stdout'] }))
    await until(() => sink.reads > reads)
    writeSync(out, 'new\n')
    endAll()
    expect(await live).toEqual(['5', 'new'])
  })

  test('following with `until` ends at that time though nothing comes', async () => {
    const { pump, out } = pumpOnPipes()
    writeSync(out, 'now\n')
    expect(await textsOf(pump.follow({ until: new Date(Date.now() + 100) }))).toEqual(['now'])
  })

  test('long lines are rejoined up to 1 MiB and come in pieces above', async () => {
    const { pump, out, endAll } = pumpOnPipes()
    const joined = textsOf(pump.follow())
    const pieces = textsOf(pump.follow({ rejoin: false }))
    const long = 'y'.repeat(1 << 20)
    const tooLong = 'z'.repeat((1 << 20) + 1)
    for (const line of [long, tooLong, 'short']) await writeAsync(out, Buffer.from(`${line}\n`)).then(() => {})
    endAll()
    const texts = await joined
    expect(texts[0]).toBe(long)
    expect(texts.at(-1)).toBe('short')
    expect(texts.slice(1, -1).join('')).toBe(tooLong)
    expect(texts.length).toBe(67)
    expect((await pieces).every((text) => text.length <= 16384)).toBe(true)
  })

  test('onEntry gets every line before followers do; a listener that throws is reported and harms nobody', async () => {
    const heard: string[] = []
    const { pump, diagnostics, out, endAll } = pumpOnPipes({
      onEntry: ({ text }) => {
        heard.push(text)
        if (text === 'bad') throw new Error('listener')
      },
    })
    writeSync(out, `${'p'.repeat(20000)}\nbad\nlast`)
    endAll()
    expect((await textsOf(pump.follow())).length).toBe(3)
    expect(heard.map((text) => text.length)).toEqual([20000, 3, 4])
    expect(diagnostics.map(({ level }) => level)).toEqual(['error'])
  })

  test('abort ends a waiting follower with AbortError, leaving the loop ends it at once; nothing is held', async () => {
    const { pump, out } = pumpOnPipes()
    writeSync(out, 'a\n')
    const controller = new AbortController()
    const following = textsOf(pump.follow({ signal: controller.signal }))
    setTimeout(() => controller.abort(new Error('enough')), 20)
    await expect(following).rejects.toMatchObject({ name: 'AbortError', cause: { message: 'enough' } })
    expect(await textsOf(pump.follow(), 1)).toEqual(['a'])
    await expect(textsOf(pump.follow({ signal: AbortSignal.abort() }))).rejects.toMatchObject({ name: 'AbortError' })
  })

  test('bad queries are refused by name before anything happens', () => {
    const { pump } = pumpOnPipes()
    expect(() => pump.follow({ tail: -1 })).toThrow(/tail/)
    expect(() => pump.follow({ since: new Date(Number.NaN) })).toThrow(/since/)
    expect(() => pump.follow({ streams: ['stdin' as 'stdout'] })).toThrow(/stdin/)
  })

  test('a sink that is stuck makes the writer wait: memory stays bounded and nothing is lost', async () => {
    const { pump, sink, out, endAll } = pumpOnPipes()
    const gate = Promise.withResolvers<void>()
    sink.before = () => gate.promise
    const line = Buffer.from(`${'q'.repeat(1023)}\n`)
    let written = 0
    const writing = (async () => {
      for (; written < 8192; written++) await writeAsync(out, line)
    })()
    await until(() => pump.stats.bytes.stdout > 2 << 20)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(pump.stats.bytes.stdout).toBeLessThan(2.5 * (1 << 20))
    expect(written).toBeLessThan(4096)
    gate.resolve()
    await writing
    endAll()
    await pump.finished
    expect(sink.entries.length).toBe(8192)
  })

  test('empty lines count by what they take in memory', async () => {
    const { pump, sink, out, endAll } = pumpOnPipes()
    const gate = Promise.withResolvers<void>()
    sink.before = () => gate.promise
    const lines = Buffer.alloc(64 << 10, '\n')
    const writing = (async () => {
      for (let written = 0; written < 16; written++) await writeAsync(out, lines)
    })()
    await until(() => pump.stats.entries >= 32 << 10)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(pump.stats.entries).toBeLessThan(256 << 10)
    gate.resolve()
    await writing
    endAll()
    await pump.finished
    expect(sink.entries.length).toBe(1 << 20)
  })

  test('a sink that refuses gets the batch again; one that refuses to the end costs what is then reported', async () => {
    const { pump, sink, diagnostics, out, endAll } = pumpOnPipes()
    let refusals = 2
    sink.before = () => {
      if (refusals-- > 0) throw new Error('disk full')
    }
    writeSync(out, 'kept\n')
    await until(() => sink.entries.length === 1)
    expect(diagnostics.map(({ level }) => level)).toEqual(['error', 'info'])
    refusals = Number.POSITIVE_INFINITY
    writeSync(out, 'lost\n')
    endAll()
    await pump.finished
    expect(pump.stats.lostEntries).toBe(1)
    expect(diagnostics.at(-1)!.message).toContain('1 log entries are lost')
  })

  test('a log that cannot be read back says so, and can be followed from now on', async () => {
    const { write: take } = MemorySink.prototype
    const kept = new MemorySink()
    const sink = { write: take.bind(kept), flush: async () => {}, [Symbol.asyncDispose]: async () => {} }
    const { pump, out, endAll } = pumpOnPipes({ sink })
    await expect(textsOf(pump.follow())).rejects.toMatchObject({ code: 'logging.not_readable' })
    expect(() => pump.attach({ replay: true })).toThrow(/replay/)
    const live = textsOf(pump.follow({ tail: 0 }))
    writeSync(out, 'a\nb\n')
    endAll()
    expect(await live).toEqual(['a', 'b'])
  })

  test('attach gives exact bytes at once, prompts too; replay begins at the beginning', async () => {
    const { pump, sink, out, err, endAll } = pumpOnPipes()
    writeSync(out, 'before\nhalf')
    await until(() => sink.entries.length === 1 && pump.stats.bytes.stdout === 11)
    const attached = pump.attach()
    const replayed = pump.attach({ replay: true })
    const [live, replay, errors] = [attached.stdout, replayed.stdout, bytesOf(attached.stderr)]
    const first = live[Symbol.asyncIterator]()
    writeSync(out, '-line\npassword: ')
    expect(Buffer.from((await first.next()).value!).toString()).toBe('-line\npassword: ')
    writeSync(err, 'oops')
    endAll()
    expect(await bytesOf(replay)).toBe('before\nhalf-line\npassword: ')
    expect(await errors).toBe('oops')
    expect((await first.next()).done).toBe(true)
  })

  test('an attached reader that falls behind goes on from the stored log without a gap', async () => {
    const { pump, out, endAll } = pumpOnPipes()
    const attached = pump.attach()
    const all: string[] = []
    for (let n = 0; n < 6000; n++) {
      const part = `${n} ${'x'.repeat((n * 7919) % 1500)}${n % 5 === 0 ? '' : '\n'}`
      all.push(part)
      await writeAsync(out, part)
    }
    endAll()
    await pump.finished
    expect(await bytesOf(attached.stdout)).toBe(all.join(''))
    attached[Symbol.dispose]()
  })

  test('stop keeps what was read; no descriptor and no handle is left', async () => {
    const pipes = () => process.getActiveResourcesInfo().filter((name) => name === 'PipeWrap').length
    const [before, pipesBefore] = [descriptors(), pipes()]
    const { pump, sink, out, endAll } = pumpOnPipes()
    writeSync(out, 'x\ny')
    await until(() => pump.stats.bytes.stdout === 3)
    await pump.stop()
    expect(sink.entries.map(({ text }) => text)).toEqual(['x', 'y'])
    endAll()
    await until(() => descriptors() === before)
    expect(pipes()).toBe(pipesBefore)
  })

  test('what waited in the pipes of a dead holder comes first, marked, and whole', async () => {
    const out = createPipe()
    const err = createPipe()
    writeSync(out.write, numbered(1, 1000))
    setNonBlocking(out.read, true)
    setNonBlocking(err.read, true)
    const sink = new MemorySink()
    const pump = startLogPump({
      stdout: out.read,
      stderr: err.read,
      sink,
      firstSequence: 1n,
      adopted: true,
      diagnostics: (d) => expect.fail(d.message),
    })
    for (let n = 1001; n <= 2000; n += 100) {
      writeSync(out.write, numbered(n, n + 99))
      await until(() => pump.stats.entries === n + 99)
    }
    closeSync(out.write)
    closeSync(err.write)
    await pump.finished
    expect(sink.entries.map(({ text }) => text)).toEqual(numbered(1, 2000).split('\n').slice(0, -1))
    expect(sink.entries.filter(({ timeIsApproximate }) => timeIsApproximate).length).toBe(1000)
  })
})
