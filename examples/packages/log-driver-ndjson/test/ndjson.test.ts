import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  type ContainerId,
  type Diagnostic,
  isEngineError,
  type LogEntry,
  type LogSubject,
} from 'tscontainer/driver-kit'
import { ndjson } from '../dist/index.js'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ndjson-'))
})
after(() => rm(directory, { recursive: true, force: true }))

/** A collector that keeps what it gets. */
async function collect(path: string): Promise<{ server: Server; text: () => string; end: () => Promise<void> }> {
  let received = ''
  const server = createServer((socket) => socket.setEncoding('utf8').on('data', (chunk) => (received += chunk)))
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return { server, text: () => received, end: () => new Promise((resolve) => server.close(() => resolve())) }
}

const subject: LogSubject = {
  containerId: 'c'.repeat(64) as ContainerId,
  containerName: 'tester',
  imageName: 'busybox',
  imageId: 'sha256:0',
  createdAt: new Date(),
  command: ['true'],
  labels: {},
  env: {},
  directory: '/nonexistent',
}

const entry = (sequence: bigint, text: string): LogEntry => ({
  stream: 'stdout',
  time: 1_000_000_000n + sequence,
  text,
  bytes: Buffer.from(text),
  partial: null,
  sequence,
})

async function open(diagnostics: Diagnostic[] = []) {
  // This driver uses nothing of the host.
  const context = { directory, runDirectory: directory, host: {}, diagnostics: (d: Diagnostic) => diagnostics.push(d) }
  return ndjson.open(context as never, ndjson.parseOptions({}))
}

test('sends one object per line, in order', async () => {
  const socket = join(directory, 'a.sock')
  const collector = await collect(socket)
  const driver = await open()
  const sink = await driver.openSink(subject, driver.parseSinkOptions({ socket }))
  await sink.write([entry(1n, 'first'), entry(2n, 'with "quotes"\tand tabs')])
  await sink.flush()
  await sink[Symbol.asyncDispose]()
  await collector.end()
  const lines = collector
    .text()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    lines.map((line) => line.text),
    ['first', 'with "quotes"\tand tabs'],
  )
  assert.equal(lines[0].container.name, 'tester')
  assert.equal(lines[1].time, '1000000002')
})

test('keeps entries while the collector is away, and tells of those it could not keep', async () => {
  const socket = join(directory, 'b.sock')
  const diagnostics: Diagnostic[] = []
  const driver = await open(diagnostics)
  const sink = await driver.openSink(subject, driver.parseSinkOptions({ socket, buffer: '2' }))
  await sink.write([entry(1n, 'one'), entry(2n, 'two'), entry(3n, 'three')])
  await assert.rejects(sink.flush())
  const collector = await collect(socket)
  await sink.flush()
  await sink[Symbol.asyncDispose]()
  await collector.end()
  assert.deepEqual(
    collector
      .text()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).text),
    ['two', 'three'],
  )
  assert.match(diagnostics[0]?.message ?? '', /1 log entries were dropped/)
})

test('refuses options it does not know, and values that cannot be', async () => {
  const driver = await open()
  for (const options of [{ socket: '/s', sokcet: '/s' }, { socket: 'relative' }, {}, { socket: '/s', buffer: '0' }])
    assert.throws(
      () => driver.parseSinkOptions(options as Record<string, string>),
      (error) => isEngineError(error, { kind: 'invalid_argument' }),
    )
})
