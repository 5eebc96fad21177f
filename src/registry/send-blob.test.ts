import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { digestOf } from '../oci/digest.ts'
import { parseReference } from '../reference/reference.ts'
import { FaultyRegistry } from '../testing/registry/faulty-registry.ts'
import { openRegistries } from './open-registries.ts'
import type { RegistryClient } from './registry-client.ts'
import { startRegistry } from './registry-fixture.ts'
import { parseRegistriesOptions, type RegistryHostOptions } from './registry-options.ts'
import { sendBlob } from './send-blob.ts'

const bytes = randomBytes(10 << 20)
const blob = {
  digest: digestOf(bytes),
  size: bytes.length,
  open: (start: number, length: number) =>
    Readable.from(
      (function* () {
        for (let at = start; at < start + length; at += 65_536)
          yield bytes.subarray(at, Math.min(at + 65_536, start + length))
      })(),
      { objectMode: false },
    ),
}

let registry: FaultyRegistry
let client: RegistryClient

beforeEach(async () => {
  registry = await FaultyRegistry.start()
})
afterEach(async () => {
  client[Symbol.dispose]()
  await registry[Symbol.asyncDispose]()
})

function repositoryAt(host: string, options: RegistryHostOptions = {}) {
  client = openRegistries({
    config: parseRegistriesOptions({ dockerConfig: null, attempts: 3, stallMs: 300, hosts: { [host]: options } }),
    offline: false,
    run: () => Promise.reject(new Error('no helper is to be run')),
    env: {},
  })
  return client.repositories(parseReference(`${host}/app`), 'push')[0]!
}

const stored = () => registry.repository('app').blobs.get(blob.digest)
/** Methods of the requests that carried bytes, and how many those were. */
const sent = () => registry.requests.filter((r) => r.bodyBytes > 0).map((r) => [r.method, r.bodyBytes])

describe('an upload', () => {
  test('goes whole in one request', async () => {
    await sendBlob(repositoryAt(registry.host), blob, {})
    expect(sent()).toEqual([['PUT', bytes.length]])
    expect(stored()?.equals(bytes)).toBe(true)
  })

  test('goes in pieces when the registry is configured so', async () => {
    const told: number[] = []
    const repository = repositoryAt(registry.host, { uploadChunkBytes: 4 << 20 })
    await sendBlob(repository, blob, { onBytes: (done) => told.push(done) })
    expect(sent()).toEqual([
      ['PATCH', 4 << 20],
      ['PATCH', 4 << 20],
      ['PUT', 2 << 20],
    ])
    expect(registry.requests.map(({ headers }) => headers['content-range']).filter(Boolean)).toEqual([
      '0-4194303',
      '4194304-8388607',
      '8388608-10485759',
    ])
    expect(told.at(-1)).toBe(bytes.length)
    expect([...told].sort((a, b) => a - b)).toEqual(told)
    expect(stored()?.equals(bytes)).toBe(true)
  })

  test.each(['cut', 'reset', 'stall'] as const)('that breaks (%s) goes on where the registry stands', async (kind) => {
    registry.fault({ on: 'upload', method: 'PUT', kind, after: 3_000_000, times: 1 })
    await sendBlob(repositoryAt(registry.host), blob, {})
    expect(stored()?.equals(bytes)).toBe(true)
    const total = sent().reduce((sum, [, count]) => sum + Number(count), 0)
    expect(total).toBe(bytes.length)
  })

  test('that breaks again and again ends, since each break is later than the one before', async () => {
    for (let times = 0; times < 6; times++) {
      registry.fault({ on: 'upload', method: times === 0 ? 'PUT' : 'PATCH', kind: 'reset', after: 1_500_000, times: 1 })
    }
    await sendBlob(repositoryAt(registry.host, { uploadChunkBytes: 2 << 20 }), blob, {})
    expect(stored()?.equals(bytes)).toBe(true)
  })

  test('that the registry has lost begins anew', async () => {
    registry.fault({ on: 'upload', method: 'PUT', kind: 'cut', after: 3_000_000, times: 1 })
    registry.fault({ on: 'upload', method: 'GET', kind: 'answer', status: 404, times: 1 })
    await sendBlob(repositoryAt(registry.host), blob, {})
    expect(registry.requests.filter(({ method, kind }) => method === 'POST' && kind === 'upload').length).toBe(2)
    expect(stored()?.equals(bytes)).toBe(true)
  })

  test('whose last answer is lost is not sent again', async () => {
    registry.fault({ on: 'upload', method: 'PUT', kind: 'lost', times: 1 })
    const repository = repositoryAt(registry.host)
    await sendBlob(repository, blob, {})
    expect(sent()).toEqual([['PUT', bytes.length]])
    expect(stored()?.equals(bytes)).toBe(true)
  })

  test('that is refused as too large is cut smaller until it fits', async () => {
    registry.fault({ on: 'upload', method: 'PUT', kind: 'answer', status: 413, times: 1 })
    registry.fault({ on: 'upload', method: 'PATCH', kind: 'answer', status: 413, times: 1 })
    await sendBlob(repositoryAt(registry.host), blob, {})
    expect(registry.requests.filter(({ method }) => method === 'PATCH').length).toBeGreaterThan(6)
    expect(stored()?.equals(bytes)).toBe(true)
    registry.heal()
    registry.repository('app').blobs.clear()
    registry.fault({ on: 'upload', kind: 'answer', status: 413 })
    await expect(sendBlob(repositoryAt(registry.host), blob, {})).rejects.toMatchObject({
      code: 'registry.refused_request',
      details: { status: 413 },
    })
  })

  test('that the registry counts otherwise, forgets or refuses fails clearly', async () => {
    for (const [fault, code] of [
      [{ method: 'PATCH', kind: 'answer', status: 202, headers: { range: '0-0' } }, 'registry.bad_answer'],
      [{ method: 'PATCH', kind: 'answer', status: 202, headers: { range: '0-999999999' } }, 'registry.bad_answer'],
      [{ method: 'PATCH', kind: 'answer', status: 416 }, 'registry.refused_request'],
      [{ method: 'POST', kind: 'answer', status: 202 }, 'registry.bad_answer'],
      [{ method: 'POST', kind: 'answer', status: 202, headers: { location: 'ftp://x/' } }, 'registry.bad_answer'],
      [{ method: 'PUT', kind: 'answer', status: 500 }, 'registry.server_error'],
      [{ method: 'PUT', kind: 'answer', status: 403 }, 'registry.denied'],
    ] as const) {
      registry.heal()
      registry.fault({ on: 'upload', ...fault })
      const repository = repositoryAt(registry.host, { uploadChunkBytes: 4 << 20 })
      await expect(sendBlob(repository, blob, {})).rejects.toMatchObject({ code })
      expect(registry.requests.length).toBeLessThan(40)
      client[Symbol.dispose]()
    }
  })

  test('whose token ends meanwhile is sent again with another', async () => {
    await using guarded = await FaultyRegistry.start({ auth: { scheme: 'bearer' } })
    const repository = repositoryAt(guarded.host)
    const upload = await repository.uploads.start(blob.digest)
    guarded.auth.tokens.clear()
    await sendBlob(repository, blob, { upload })
    expect(guarded.repository('app').blobs.get(blob.digest)?.equals(bytes)).toBe(true)
    expect(guarded.auth.issued).toBe(2)
  })

  test('that cannot begin is tried as often as it is configured', async () => {
    registry.fault({ on: 'upload', method: 'POST', kind: 'answer', status: 503 })
    await expect(sendBlob(repositoryAt(registry.host), blob, {})).rejects.toMatchObject({
      code: 'registry.server_error',
    })
    expect(registry.requests.length).toBe(3)
  })

  test('of a file that has gone says so, also while a token is asked for', async () => {
    await using guarded = await FaultyRegistry.start({ auth: { scheme: 'bearer', tokenSeconds: 1 } })
    guarded.fault({ on: 'token', kind: 'slow', bytes: 20, everyMs: 30 })
    const open = () => createReadStream('/nonexistent/blob')
    await expect(sendBlob(repositoryAt(guarded.host), { ...blob, open }, {})).rejects.toMatchObject({
      code: 'host.not_found',
    })
  })

  test('is ended by its signal', async () => {
    const controller = new AbortController()
    registry.fault({ on: 'upload', method: 'PUT', kind: 'stall', after: 1_000_000 })
    setTimeout(() => controller.abort(), 100)
    await expect(sendBlob(repositoryAt(registry.host), blob, { signal: controller.signal })).rejects.toMatchObject({
      kind: 'aborted',
    })
  })
})

test('a real registry takes pieces', async () => {
  await using server = await startRegistry()
  const repository = repositoryAt(server.host, { uploadChunkBytes: 1 << 20 })
  await sendBlob(repository, blob, {})
  expect(await repository.blobSize(blob.digest)).toBe(bytes.length)
  const { chunks } = await repository.blob(blob.digest, 0)
  expect(Buffer.concat(await Array.fromAsync(chunks)).equals(bytes)).toBe(true)
})
