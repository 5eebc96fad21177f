import { randomBytes } from 'node:crypto'
import { chmodSync, lstatSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { digestOf } from '../oci/digest.ts'
import { parseReference } from '../reference/reference.ts'
import { FaultyRegistry } from '../testing/registry/faulty-registry.ts'
import type { RunHelper } from './docker-config.ts'
import { openRegistries } from './open-registries.ts'
import type { RegistryClient } from './registry-client.ts'
import { type RegistryServer, startRegistry } from './registry-fixture.ts'
import { parseRegistriesOptions, type RegistriesOptions } from './registry-options.ts'

let directory: string
let file: string
const clients: RegistryClient[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'registry-client-'))
  file = join(directory, 'docker', 'config.json')
})
afterEach(() => {
  for (const client of clients.splice(0)) client[Symbol.dispose]()
  rmSync(directory, { recursive: true })
})

const noHelper: RunHelper = () => Promise.reject(new Error('no helper is to be run'))

function clientOf(config: RegistriesOptions = {}, run = noHelper, offline = false): RegistryClient {
  const parsed = parseRegistriesOptions({ dockerConfig: file, attempts: 2, stallMs: 300, ...config })
  const client = openRegistries({ config: parsed, offline, run, env: {} })
  clients.push(client)
  return client
}

const all = <T>(items: AsyncIterable<T>) => Array.fromAsync(items)

describe('tags', () => {
  test('come page by page, no more pages than are read', async () => {
    await using registry = await FaultyRegistry.start()
    for (let number = 10; number < 60; number++) registry.addImage(`app:v${number}`)
    registry.pageSize = 10
    const tags = clientOf().tags(parseReference(`${registry.host}/app`))
    expect((await tags.next()).value).toBe('v10')
    expect(registry.requests.length).toBe(1)
    expect((await all(tags)).length).toBe(49)
    expect(registry.requests.length).toBe(5)
  })

  test('a link in a circle ends, one to another host is asked for here, without end is no answer', async () => {
    await using other = await FaultyRegistry.start()
    await using registry = await FaultyRegistry.start()
    registry.addImage('app:v1')
    const link = `<http://${other.host}/v2/app/tags/list?n=1>; rel="next"`
    registry.fault({ on: 'tags', kind: 'headers', headers: { link } })
    expect(await all(clientOf().tags(parseReference(`${registry.host}/app`)))).toEqual(['v1'])
    expect(registry.requests.length).toBe(2)
    expect(other.requests).toEqual([])
    registry.heal()
    for (const [fault, code] of [
      [{ kind: 'endless' }, 'registry.too_large'],
      [{ kind: 'answer', status: 200, body: '{"tags":"all"}' }, 'registry.bad_answer'],
      [{ kind: 'answer', status: 200, body: '<html>' }, 'registry.bad_answer'],
    ] as const) {
      registry.heal()
      registry.fault({ on: 'tags', ...fault })
      await expect(all(clientOf().tags(parseReference(`${registry.host}/app`)))).rejects.toMatchObject({ code })
    }
  })

  test('that have no end are not told as a list that has one', async () => {
    await using registry = await FaultyRegistry.start()
    const image = registry.addImage('app:v1')
    for (let number = 0; number < 1010; number++) registry.addImage(`app:x${String(number).padStart(4, '0')}`, image)
    registry.pageSize = 1
    await expect(all(clientOf().tags(parseReference(`${registry.host}/app`)))).rejects.toMatchObject({
      code: 'registry.bad_answer',
    })
    expect(registry.requests.length).toBe(1000)
  })

  test('of a mirror, or of the registry when the mirror does not know', async () => {
    await using mirror = await FaultyRegistry.start()
    await using registry = await FaultyRegistry.start()
    registry.addImage('hub/library/app:far')
    const hosts = { 'docker.io': { mirrors: [`http://${mirror.host}`], location: `http://${registry.host}/v2/hub/` } }
    expect(await all(clientOf({ hosts }).tags(parseReference('app')))).toEqual(['far'])
    mirror.addImage('library/app:near')
    expect(await all(clientOf({ hosts }).tags(parseReference('app')))).toEqual(['near'])
  })
})

describe('search', () => {
  test('finds what the registry knows of repositories', async () => {
    await using registry = await FaultyRegistry.start()
    registry.found = [
      { name: 'redis', description: 'An in-memory store', star_count: 12_000, is_official: true, is_automated: false },
      { name: 'someone/redis', description: null, star_count: 3, is_official: false, is_automated: true },
      { name: 7 },
    ]
    const client = clientOf({ hosts: { 'docker.io': { location: `http://${registry.host}` } } })
    expect(await all(client.search('redis'))).toEqual([
      { name: 'redis', description: 'An in-memory store', stars: 12_000, official: true, automated: false },
      { name: 'someone/redis', description: '', stars: 3, official: false, automated: true },
    ])
    expect(registry.requests[0]!.url).toBe('/v1/search?q=redis&n=100&page=1')
    expect((await all(client.search('redis', { official: true }))).length).toBe(1)
    expect((await all(client.search('redis', { minStars: 100 }))).length).toBe(1)
    expect((await all(client.search('redis', { limit: 1 }))).length).toBe(1)
  })

  test('looks into the catalogue where there is no search, and says so where there is neither', async () => {
    await using server = await startRegistry()
    await using registry = await FaultyRegistry.start({ search: false, catalog: false })
    const client = clientOf()
    const repository = client.repositories(parseReference(`${server.host}/team/app`), 'push')[0]!
    const config = Buffer.from('{}')
    const { sendBlob } = await import('./send-blob.ts')
    const { Readable } = await import('node:stream')
    const blob = {
      digest: digestOf(config),
      size: config.length,
      open: () => Readable.from([config], { objectMode: false }),
    }
    await sendBlob(repository, blob, {})
    expect(await all(client.search('app', { registry: server.host }))).toEqual([
      { name: `${server.host}/team/app`, description: '', stars: null, official: false, automated: false },
    ])
    expect(await all(client.search('nothing', { registry: server.host }))).toEqual([])
    await expect(all(client.search('app', { registry: registry.host }))).rejects.toMatchObject({
      code: 'registry.no_search',
      kind: 'unsupported',
    })
    expect(() => clientOf({}, noHelper, true).search('x')).toThrow(
      expect.objectContaining({ code: 'registry.offline' }),
    )
    expect(() => client.search('x', { registry: 'no registry' })).toThrow(
      expect.objectContaining({ code: 'registry.bad_config' }),
    )
  })
})

describe('login', () => {
  const read = () => JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>

  async function withServer(work: (server: RegistryServer) => Promise<void>): Promise<void> {
    await using server = await startRegistry({ users: { me: 'hunter2' } })
    await work(server)
  }

  test('stores what the registry takes, for its owner alone, and keeps the rest of the file', () =>
    withServer(async (server) => {
      const before = process.umask(0)
      try {
        await clientOf().login(server.host, { username: 'me', password: 'hunter2' })
        expect(statSync(file).mode & 0o777).toBe(0o600)
        expect(statSync(join(directory, 'docker')).mode & 0o777).toBe(0o700)
      } finally {
        process.umask(before)
      }
      const entry = { auth: Buffer.from('me:hunter2').toString('base64') }
      expect(read()).toEqual({ auths: { [server.host]: entry } })
      // What other programs keep there stays; a link stays one; modes get tight.
      const real = join(directory, 'real.json')
      const others = { HttpHeaders: { a: 'b' }, auths: { 'other.example': { auth: 'eDp5' } }, psFormat: 'x' }
      writeFileSync(real, JSON.stringify(others))
      chmodSync(real, 0o644)
      rmSync(file)
      symlinkSync(real, file)
      const client = clientOf()
      expect(await client.user(server.host)).toBeNull()
      expect(await client.login(`https://${server.host}/v2/`, { username: 'me', password: 'hunter2' })).toEqual({
        file,
        helper: null,
      })
      expect(lstatSync(file).isSymbolicLink()).toBe(true)
      expect(statSync(real).mode & 0o777).toBe(0o600)
      expect(read()).toEqual({ ...others, auths: { ...others.auths, [server.host]: entry } })
      expect(await client.user(server.host)).toBe('me')
      // And is used.
      await expect(all(client.tags(parseReference(`${server.host}/app`)))).rejects.toMatchObject({
        code: 'registry.not_found',
      })
      expect(await client.logout(server.host)).toBe(true)
      expect(await client.logout(server.host)).toBe(false)
      expect(read()).toEqual(others)
      await expect(all(client.tags(parseReference(`${server.host}/app`)))).rejects.toMatchObject({
        code: 'registry.unauthorized',
      })
    }))

  test('refused credentials are not stored, and are in no error', () =>
    withServer(async (server) => {
      const error: unknown = await clientOf()
        .login(server.host, { username: 'me', password: 'wrong-secret' })
        .catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'registry.unauthorized' })
      expect(inspect(error, { depth: null })).not.toContain('wrong-secret')
      expect(() => statSync(file)).toThrow('ENOENT')
      await expect(
        clientOf({ dockerConfig: null }).login(server.host, { username: 'me', password: 'hunter2' }),
      ).rejects.toMatchObject({ code: 'registry.bad_config' })
    }))

  test('bearer tokens and identity tokens', async () => {
    await using registry = await FaultyRegistry.start({
      auth: { scheme: 'bearer', users: { me: 'hunter2' }, identityTokens: ['refresh'] },
    })
    const client = clientOf()
    await client.login(registry.host, { username: 'me', password: 'hunter2' })
    await client.login(registry.host, { identityToken: 'refresh' })
    expect(read()).toEqual({ auths: { [registry.host]: { identitytoken: 'refresh' } } })
    for (const wrong of [{ username: 'me', password: 'x' }, { identityToken: 'x' }, { registryToken: 'x' }])
      await expect(client.login(registry.host, wrong)).rejects.toMatchObject({ code: 'registry.unauthorized' })
    expect(read()).toEqual({ auths: { [registry.host]: { identitytoken: 'refresh' } } })
  })

  test('a helper keeps the secret, the file only says that there is one', () =>
    withServer(async (server) => {
      const kept = new Map<string, string>()
      const run: RunHelper = async (program, [command], { input }) => {
        expect(program).toBe('docker-credential-vault')
        const done = (stdout: string, exitCode = 0) => ({ exitCode, stdout, stderr: '' })
        if (command === 'store') {
          const { ServerURL, ...secret } = JSON.parse(input) as { ServerURL: string }
          kept.set(ServerURL, JSON.stringify(secret))
          return done('')
        }
        const known = kept.get(input)
        if (known === undefined) return done('credentials not found in native keychain', 1)
        if (command === 'erase') kept.delete(input)
        return done(known)
      }
      const client = clientOf({}, run)
      await clientOf().login(server.host, { username: 'me', password: 'hunter2' })
      writeFileSync(file, JSON.stringify({ ...read(), credsStore: 'vault' }))
      expect(await client.login(server.host, { username: 'me', password: 'hunter2' })).toEqual({
        file,
        helper: 'vault',
      })
      expect(readFileSync(file, 'utf8')).not.toContain(Buffer.from('me:hunter2').toString('base64'))
      expect(read()).toEqual({ auths: { [server.host]: {} }, credsStore: 'vault' })
      expect(await client.user(server.host)).toBe('me')
      expect(await client.logout(server.host)).toBe(true)
      expect([...kept]).toEqual([])
      expect(read()).toEqual({ auths: {}, credsStore: 'vault' })
      const broken: RunHelper = async () => ({ exitCode: 1, stdout: 'hunter2', stderr: 'hunter2' })
      const error: unknown = await clientOf({}, broken)
        .login(server.host, { username: 'me', password: 'hunter2' })
        .catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'registry.helper_failed' })
      expect(inspect(error, { depth: null })).not.toContain('hunter2')
    }))
})

describe('downloads', () => {
  const bytes = randomBytes(400_000)
  const digest = digestOf(bytes)
  const start = async () => {
    const registry = await FaultyRegistry.start()
    registry.repository('files').blobs.set(digest, bytes)
    return Object.assign(registry, { url: `http://${registry.host}/v2/files/blobs/${digest}` })
  }
  const fetched = async (chunks: AsyncIterable<Uint8Array>) => Buffer.concat(await all(chunks))

  test('go on where the connection broke, while the file is the same', async () => {
    await using server = await start()
    server.fault({ kind: 'cut', after: 150_000, times: 1 })
    server.fault({ kind: 'stall', after: 100_000, times: 1 })
    expect((await fetched(clientOf({ attempts: 3 }).download(server.url))).equals(bytes)).toBe(true)
    expect(server.requests.map(({ headers }) => headers['range'])).toEqual([
      undefined,
      'bytes=150000-',
      'bytes=250000-',
    ])
    expect(server.requests[1]!.headers['if-range']).toBe(`"${digest}"`)
    server.heal()
    server.fault({ kind: 'cut', after: 150_000, times: 1 })
    server.fault({ kind: 'whole', times: 1 })
    await expect(fetched(clientOf().download(server.url))).rejects.toMatchObject({ code: 'download.failed' })
  })

  test('that break off after each few bytes end', async () => {
    await using server = await start()
    server.fault({ kind: 'cut', after: 10 })
    await expect(fetched(clientOf({ attempts: 3 }).download(server.url))).rejects.toMatchObject({
      code: 'registry.unreachable',
    })
    expect(server.requests.length).toBe(3)
  })

  test.each([
    [{ kind: 'answer', status: 404 }, 'download.not_found'],
    [{ kind: 'answer', status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } }, 'download.refused'],
    [{ kind: 'answer', status: 500 }, 'download.failed'],
    [{ kind: 'redirect', to: '{path}' }, 'registry.bad_redirect'],
    [{ kind: 'redirect', to: 'file:///etc/passwd' }, 'registry.bad_redirect'],
    [{ kind: 'stall', after: 0 }, 'registry.stalled'],
    [{ kind: 'reset', after: 0 }, 'registry.unreachable'],
  ] as const)('%o is %s', async (fault, code) => {
    await using server = await start()
    server.fault(fault)
    const error: unknown = await fetched(clientOf().download(`${server.url}?signature=hunter2`)).catch(
      (e: unknown) => e,
    )
    expect(error).toMatchObject({ code })
    expect(inspect(error, { depth: null })).not.toContain('hunter2')
  })

  test('only http and https, without secrets in the address, and not offline', () => {
    for (const url of ['ftp://x/y', 'file:///etc/passwd', 'http://', 'https://me:hunter2@x/y', 'data:,x'])
      expect(() => clientOf().download(url)).toThrow(
        expect.objectContaining({ code: 'download.bad_url', message: expect.not.stringContaining('hunter2') }),
      )
    expect(() => clientOf({}, noHelper, true).download('https://x.example/')).toThrow(
      expect.objectContaining({ code: 'registry.offline' }),
    )
  })
})

test('hosts that cannot be are refused by name', () => {
  for (const host of ['localhost:99999', '256.256.256.256', '[::1::2]:5000'])
    expect(() => clientOf().repositories(parseReference(`${host}/app`), 'pull')).toThrow(
      expect.objectContaining({ code: 'registry.bad_config' }),
    )
  expect(() => clientOf({ hosts: { 'x.example': { mirrors: ['localhost:99999'] } } })).toThrow(
    expect.objectContaining({ code: 'registry.bad_config' }),
  )
})
