import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RootMount } from '../host/launcher.ts'
import { makeFifo, openFifo } from '../host/pipe.ts'
import { type HostTables, readHostTables, settledLeaks } from '../testing/leak-check.ts'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { CountingUnpacker } from '../testing/system/counting-unpacker.ts'
import { exportRootfs } from './export-rootfs.ts'
import { importRootfs } from './import-rootfs.ts'
import type { TransferServices } from './transfer-services.ts'

const parts = { parts: ['descriptors', 'mounts', 'children'] } as const

let fixture: ContentFixture
let services: TransferServices
let before: HostTables
beforeEach(async () => {
  fixture = contentFixture()
  services = { ...fixture, unpacker: new CountingUnpacker(), diagnostics: () => {} }
  for (const name of ['tree', 'target']) mkdirSync(at(name))
  shell(`cd tree; mkdir -p etc a/b; echo root > etc/passwd; head -c 3000000 /dev/urandom > big; ln big a/b/hard
    ln -s ../big a/soft; mkfifo a/fifo; chmod 4755 etc/passwd; touch "$(printf 'a/n\\351')"; touch -d @1 a`)
  before = await readHostTables(parts)
})
afterEach(() => fixture[Symbol.asyncDispose]())

const at = (...names: string[]) => join(fixture.scratch, ...names)
const shell = (script: string) =>
  execFileSync('bash', ['-euc', script], { cwd: fixture.scratch, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const bound = (): RootMount => ({
  target: at('target'),
  mounts: [{ type: 'bind', source: at('tree'), options: ['bind', 'ro'] }],
})
const openTree = async () => ({
  tree: { kind: 'tree', tree: bound() } as const,
  [Symbol.asyncDispose]: async () => {},
})
const listing = `find . -mindepth 1 -printf '%p %M %U %G %n %T@ %l\\n' | sed 's/  *$//' | sort`

describe('export', () => {
  test('to a path, to a stream, to a pipe of another process: the same bytes, the same tree', async () => {
    writeFileSync(at('file.tar'), 'what was there before')
    await exportRootfs(openTree, at('file.tar'))
    expect(statSync(at('file.tar')).mode & 0o777).toBe(0o600)
    const chunks: Buffer[] = []
    const stream = new PassThrough()
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    await exportRootfs(openTree, stream)
    expect(stream.writableFinished).toBe(true)
    expect(Buffer.concat(chunks).equals(readFileSync(at('file.tar')))).toBe(true)
    const cat = spawn('dd', ['of=piped.tar', 'status=none'], {
      cwd: fixture.scratch,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const ended = new Promise((resolve) => cat.on('close', resolve))
    await exportRootfs(openTree, cat.stdin)
    await ended
    shell(
      'cmp piped.tar file.tar; mkdir out; tar -xpf file.tar -C out --numeric-owner; diff -r --no-dereference -x fifo tree out',
    )
    expect(shell(`cd out; ${listing}`)).toBe(shell(`cd tree; ${listing}`))
    expect(await settledLeaks(before, parts)).toEqual([])
  })

  test('a named pipe stays one', async () => {
    shell('mkfifo named')
    const reader = createReadStream(at('named'))
    let bytes = 0
    reader.on('data', (chunk) => {
      bytes += chunk.length
    })
    const ended = new Promise<void>((resolve) => reader.on('close', resolve))
    await exportRootfs(openTree, at('named'))
    await ended
    expect(bytes).toBeGreaterThan(3_000_000)
    expect(statSync(at('named')).isFIFO()).toBe(true)
  })

  test('a target that takes nothing is refused before anything is begun', async () => {
    const open = async () => expect.unreachable()
    for (const end of ['end', 'destroy'] as const) {
      const stream = new PassThrough()
      stream[end]()
      await expect(exportRootfs(open, stream)).rejects.toMatchObject({ code: 'call.bad_option' })
    }
    await expect(exportRootfs(open, null as never)).rejects.toMatchObject({ code: 'call.bad_option' })
  })

  test('a named pipe without a reader, or with one that stalls: the wait can be aborted', async () => {
    makeFifo(at('named'))
    const abort = async () => {
      const call = exportRootfs(openTree, at('named'), { signal: AbortSignal.timeout(200) })
      await expect(call).rejects.toMatchObject({ kind: 'aborted' })
    }
    await abort()
    const reader = openFifo(at('named'), 'read')
    await abort()
    closeSync(reader)
    expect(await settledLeaks(before, parts)).toEqual([])
  })

  test('aborted while the reader stalls it leaves nothing', async () => {
    const stalled = new Writable({ highWaterMark: 1, write: () => {} })
    const operation = exportRootfs(openTree, stalled, { signal: AbortSignal.timeout(300) })
    await expect(operation).rejects.toMatchObject({ name: 'AbortError' })
    expect(stalled.destroyed).toBe(true)
    expect(await settledLeaks(before, parts)).toEqual([])
  })

  test('aborted at any moment a path has nothing, and what was there is as it was', async () => {
    shell('for i in $(seq 20); do head -c 4000000 /dev/zero > tree/zeros$i; done')
    writeFileSync(at('old.tar'), 'old')
    for (const delay of [0, 5, 40, 80, 120]) {
      const controller = new AbortController()
      const operation = exportRootfs(openTree, at('old.tar'), { signal: controller.signal })
      const outcome = operation.then(
        () => 'done',
        (error: Error) => error.name,
      )
      await sleep(delay)
      controller.abort()
      if ((await outcome) === 'AbortError') expect(readFileSync(at('old.tar'), 'utf8')).toBe('old')
      else writeFileSync(at('old.tar'), 'old')
    }
    expect(readdirSync(fixture.scratch).filter((name) => name.includes('partial'))).toEqual([])
    expect(await settledLeaks(before, parts)).toEqual([])
  })

  test('a reader that fails, a directory that is not there, a disk that is full', async () => {
    const failing = new Writable({ write: (_chunk, _encoding, done) => done(new Error('cable cut')) })
    await expect(exportRootfs(openTree, failing)).rejects.toThrow('cable cut')
    const late = new Writable({ highWaterMark: 1, write: () => setTimeout(() => late.destroy(), 20) })
    await expect(exportRootfs(openTree, late)).rejects.toMatchObject({ code: 'host.unavailable' })
    await expect(exportRootfs(openTree, createWriteStream('/dev/full'))).rejects.toMatchObject({
      code: 'host.exhausted',
    })
    await expect(exportRootfs(openTree, at('no/where.tar'))).rejects.toMatchObject({ kind: 'not_found' })
    shell('mkdir small; mount -t tmpfs -o size=1m tmpfs small')
    try {
      await expect(exportRootfs(openTree, at('small/x.tar'))).rejects.toMatchObject({ kind: 'resource_exhausted' })
      expect(readdirSync(at('small'))).toEqual([])
    } finally {
      shell('umount small')
    }
    expect(await settledLeaks(before, parts)).toEqual([])
  })
})

describe('import', () => {
  test('of what was exported, however it is packed: the same layer', async () => {
    await exportRootfs(openTree, at('root.tar'))
    shell('gzip -k root.tar; bzip2 -k root.tar; xz -0 -k root.tar; zstd -q -k root.tar')
    const layer = `sha256:${shell('sha256sum root.tar').slice(0, 64)}`
    for (const name of ['root.tar', 'root.tar.gz', 'root.tar.bz2', 'root.tar.xz', 'root.tar.zst']) {
      const image = await importRootfs(services, name === 'root.tar' ? createReadStream(at(name)) : at(name), {
        reference: 'made:latest',
        changes: ['CMD ["/bin/sh"]', 'ENV A=b'],
        message: 'by a test',
        platform: 'linux/arm64/v8',
      })
      expect(image.layers.map(({ digest }) => digest)).toEqual([layer])
      expect(image.names).toEqual(['docker.io/library/made:latest'])
      const config = await image.config({})
      expect(config).toMatchObject({ config: { Cmd: ['/bin/sh'], Env: ['A=b'] }, rootfs: { diff_ids: [layer] } })
      expect(config).toMatchObject({ os: 'linux', architecture: 'arm64', variant: 'v8' })
      expect(config.history).toMatchObject([{ comment: 'by a test' }])
    }
  })

  test.each<[string, () => Parameters<typeof importRootfs>, object]>([
    ['an unknown instruction', () => [services, at('x'), { changes: ['RUN x'] }], { code: 'transfer.bad_change' }],
    ['a stream of objects', () => [services, Readable.from([{ a: 1 }])], { code: 'archive.unreadable' }],
    ['a stream of text', () => [services, Readable.from(['abc'])], { code: 'archive.unreadable' }],
    ['null', () => [services, null as never], { code: 'call.bad_option' }],
    ['a number', () => [services, 5 as never], { code: 'call.bad_option' }],
    ['a path that is not there', () => [services, at('x')], { kind: 'not_found' }],
    [
      'a stream of what is cut off',
      () => [services, Readable.from([gzipSync('tar').subarray(0, -9)])],
      { code: 'archive.truncated' },
    ],
    ['an option that is none', () => [services, at('x'), { referenc: 'x' } as object], { code: 'call.unknown_option' }],
    [
      'a platform that is none',
      () => [services, at('tree/big'), { platform: 'a/b/c/d' }],
      { code: 'image.no_platform' },
    ],
    [
      'a name with a digest',
      () => [services, at('tree/big'), { reference: `x@sha256:${'d'.repeat(64)}` }],
      { code: 'image.digest_name' },
    ],
    ['a name that is none', () => [services, at('tree/big'), { reference: 'A B' }], { kind: 'invalid_argument' }],
  ])('%s is refused and leaves nothing', async (_, parameters, error) => {
    await expect(importRootfs(...parameters())).rejects.toMatchObject(error)
    expect(fixture.images.list()).toEqual([])
    expect(existsSync(at('x'))).toBe(false)
  })

  test('of a stream that stalls can be aborted', async () => {
    const stalled = async function* () {
      yield Buffer.alloc(1000)
      await new Promise(() => {})
    }
    const call = importRootfs(services, stalled(), { signal: AbortSignal.timeout(30) })
    await expect(call).rejects.toMatchObject({ kind: 'aborted' })
  })

  test('aborted while nothing comes, or with the first bytes, it ends the source', async () => {
    shell('tar -cf root.tar tree; xz -0 -k root.tar; bzip2 -k root.tar; mkfifo named')
    for (const source of ['root.tar.xz', 'root.tar.bz2']) {
      const controller = new AbortController()
      const stream = createReadStream(at(source))
      stream.once('readable', () => controller.abort())
      await expect(importRootfs(services, stream, controller)).rejects.toMatchObject({ kind: 'aborted' })
    }
    for (const source of [new Readable({ read() {} }), at('named')])
      await expect(importRootfs(services, source, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
        kind: 'aborted',
      })
    expect(await settledLeaks(before, parts)).toEqual([])
  })

  test('of a named pipe whose writer is slow', async () => {
    shell('tar -cf root.tar tree; mkfifo named')
    const writer = spawn(
      'bash',
      ['-c', 'exec > named; head -c 1000000 root.tar; sleep 0.2; tail -c +1000001 root.tar'],
      {
        cwd: fixture.scratch,
      },
    )
    const image = await importRootfs(services, at('named'))
    expect(image.layers[0]?.digest).toBe(`sha256:${shell('sha256sum root.tar').slice(0, 64)}`)
    expect(writer.exitCode ?? 0).toBe(0)
  })
})
