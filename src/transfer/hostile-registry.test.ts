import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type EngineError, isEngineError } from '../errors/engine-error.ts'
import { mediaTypes } from '../oci/media-types.ts'
import { parseReference } from '../reference/reference.ts'
import { openRegistries } from '../registry/open-registries.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import { parseRegistriesOptions, type RegistriesOptions } from '../registry/registry-options.ts'
import { FaultyRegistry, type FaultyRegistryOptions } from '../testing/registry/faulty-registry.ts'
import { describeBytes, makeImage } from '../testing/registry/memory-image.ts'
import type { RegistryFault } from '../testing/registry/registry-fault.ts'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'
import { CountingUnpacker } from '../testing/system/counting-unpacker.ts'
import { tarOf } from '../testing/system/image-fixture.ts'
import { pullImage } from './pull-image.ts'
import type { TransferServices } from './transfer-services.ts'

let fixture: ContentFixture
let services: TransferServices
const clients: RegistryClient[] = []
const registries: FaultyRegistry[] = []

const layer = await tarOf([{ name: 'data', body: randomBytes(300_000) }])

function clientOf(config: RegistriesOptions = {}): RegistryClient {
  const client = openRegistries({
    config: parseRegistriesOptions({ dockerConfig: null, attempts: 2, stallMs: 150, ...config }),
    offline: false,
    run: () => Promise.reject(new Error('no helper is to be run')),
    env: {},
  })
  clients.push(client)
  return client
}

async function start(options?: FaultyRegistryOptions): Promise<FaultyRegistry> {
  const registry = await FaultyRegistry.start(options)
  registries.push(registry)
  return registry
}

beforeEach(() => {
  fixture = contentFixture()
  services = { ...fixture, unpacker: new CountingUnpacker(), diagnostics: () => {} }
})
afterEach(async () => {
  for (const client of clients.splice(0)) client[Symbol.dispose]()
  for (const registry of registries.splice(0)) await registry[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

/** Pulls what must not come, and looks at what is left. */
async function failure(name: string, client = clientOf()): Promise<EngineError> {
  const error: unknown = await pullImage(services, () => client, name).then(
    () => new Error('it was pulled'),
    (reason: unknown) => reason,
  )
  if (!isEngineError(error)) throw error
  await expectNothing()
  return error
}

/** No image, no name; blobs that came whole stay until garbage is collected, then nothing does but resumable beginnings. */
async function expectNothing(): Promise<void> {
  expect(fixture.images.list()).toEqual([])
  await fixture.content.collectGarbage()
  expect(fixture.files().blobs).toEqual([])
  for (const name of fixture.files().ingest) expect(name).toMatch(/^(partial\.)?[0-9a-f]{64}/)
}

describe('answers of a registry that are wrong', () => {
  const digest = `sha256:${'0'.repeat(64)}`
  test.each<[string, RegistryFault, string]>([
    [
      'a manifest that is no JSON',
      { on: 'manifest', kind: 'answer', status: 200, body: '{"schemaVersion":2' },
      'image.bad_manifest',
    ],
    [
      'a manifest with invalid UTF-8',
      { on: 'manifest', kind: 'answer', status: 200, body: Buffer.from([0x7b, 0xff, 0x7d]) },
      'image.bad_manifest',
    ],
    ['JSON that is no manifest', { on: 'manifest', kind: 'answer', status: 200, body: '[]' }, 'image.bad_manifest'],
    [
      'a list nested too deep to be read',
      { on: 'manifest', kind: 'answer', status: 200, body: '['.repeat(1_000_000) },
      'image.bad_manifest',
    ],
    [
      'a web page',
      { on: 'manifest', kind: 'headers', headers: { 'content-type': 'text/html; charset=utf-8' } },
      'registry.bad_answer',
    ],
    [
      'another type than the manifest says',
      { on: 'manifest', kind: 'headers', headers: { 'content-type': mediaTypes.ociIndex } },
      'registry.bad_answer',
    ],
    [
      'another digest than promised',
      { on: 'manifest', kind: 'headers', headers: { 'docker-content-digest': digest } },
      'registry.bad_answer',
    ],
    ['a manifest that never ends', { on: 'manifest', kind: 'endless' }, 'registry.too_large'],
    ['a manifest that breaks off', { on: 'manifest', kind: 'cut', after: 100 }, 'registry.unreachable'],
    ['a manifest that is sent half', { on: 'manifest', kind: 'short', after: 100 }, 'registry.bad_answer'],
    ['a manifest that stalls', { on: 'manifest', kind: 'stall', after: 100 }, 'registry.stalled'],
    [
      'a manifest by bytes that never stalls',
      { on: 'manifest', kind: 'slow', bytes: 1, everyMs: 100 },
      'registry.stalled',
    ],
    ['a connection that is reset', { on: 'manifest', kind: 'reset', after: 0 }, 'registry.unreachable'],
    ['a layer with a wrong bit', { on: 'blob', kind: 'corrupt', at: 5 }, 'content.digest_mismatch'],
    ['a blob that is longer', { on: 'blob', kind: 'long', bytes: 100_000 }, 'content.size_mismatch'],
    ['a blob that is shorter', { on: 'blob', kind: 'short', after: 50 }, 'content.size_mismatch'],
    ['a blob that never ends', { on: 'blob', kind: 'endless' }, 'content.size_mismatch'],
    ['a blob that stalls', { on: 'blob', kind: 'stall', after: 10 }, 'registry.stalled'],
    ['a blob that breaks off after each few bytes', { on: 'blob', kind: 'cut', after: 10 }, 'registry.unreachable'],
    ['a blob that is reset', { on: 'blob', kind: 'reset', after: 10 }, 'registry.unreachable'],
    ['a range that always lies outside', { on: 'blob', kind: 'answer', status: 416 }, 'registry.refused_request'],
    [
      'another range',
      { on: 'blob', kind: 'answer', status: 206, headers: { 'content-range': 'bytes 7-9/10' }, body: 'abc' },
      'registry.bad_answer',
    ],
    ['a redirect in a circle', { on: 'blob', kind: 'redirect', to: '{path}' }, 'registry.bad_redirect'],
    ['a redirect to nothing', { on: 'blob', kind: 'redirect', to: 'http://' }, 'registry.bad_redirect'],
    ['a redirect to a file', { on: 'blob', kind: 'redirect', to: 'file:///etc/passwd' }, 'registry.bad_redirect'],
    [
      'a redirect with a secret in it',
      { on: 'blob', kind: 'redirect', to: 'http://me:hunter2@127.0.0.1:1/{path}' },
      'registry.bad_redirect',
    ],
    [
      'a redirect to where nobody listens',
      { on: 'blob', kind: 'redirect', to: 'http://127.0.0.1:1{path}?signature=hunter2' },
      'registry.unreachable',
    ],
    ['401 without a way to authenticate', { kind: 'answer', status: 401 }, 'registry.unauthorized'],
    [
      '401 for ever',
      { kind: 'answer', status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } },
      'registry.unauthorized',
    ],
    [
      'tokens from an address that is none',
      { kind: 'answer', status: 401, headers: { 'www-authenticate': 'Bearer realm="file:///etc/passwd"' } },
      'registry.bad_answer',
    ],
    ['403', { on: 'manifest', kind: 'answer', status: 403 }, 'registry.denied'],
    ['404 with a page', { on: 'manifest', kind: 'answer', status: 404, body: '<html>' }, 'registry.not_found'],
    [
      '429 for ever',
      { on: 'manifest', kind: 'answer', status: 429, headers: { 'retry-after': '0' } },
      'registry.rate_limited',
    ],
    [
      '429 until the day after tomorrow',
      { on: 'manifest', kind: 'answer', status: 429, headers: { 'retry-after': '172800' } },
      'registry.rate_limited',
    ],
    ['a storm of 503', { kind: 'answer', status: 503, body: 'x'.repeat(1 << 20) }, 'registry.server_error'],
    ['418', { on: 'manifest', kind: 'answer', status: 418 }, 'registry.refused_request'],
    ['a success that is none', { on: 'manifest', kind: 'answer', status: 204 }, 'registry.bad_answer'],
  ])('%s', async (_, fault, code) => {
    const registry = await start()
    registry.addImage('app:v1', { layers: [layer] })
    registry.fault(fault)
    const error = await failure(`${registry.host}/app:v1`)
    expect(error).toMatchObject({ code, message: expect.stringMatching(/.{20}/) })
    expect(inspect(error, { depth: null })).not.toContain('hunter2')
    // The registry is asked a few times at most, and does right afterwards.
    expect(registry.requests.length).toBeLessThan(20)
    registry.heal()
    const pulled = await pullImage(services, () => clientOf({ stallMs: 5000 }), `${registry.host}/app:v1`)
    expect(pulled.names[0]).toBe(`${registry.host}/app:v1`)
    expect(fixture.files().ingest).toEqual([])
  })
})

test('an answer that nobody wants is not read for ever', async () => {
  const registry = await start()
  registry.addImage('app:v1')
  for (const headers of [
    { 'www-authenticate': 'Basic realm="x"' },
    { 'www-authenticate': `Bearer realm="http://${registry.host}/token"` },
  ])
    for (const status of [401, 307, 503]) {
      registry.heal()
      registry.fault({
        on: 'manifest',
        kind: 'endless',
        status,
        headers: { ...headers, location: '/v2/x/manifests/y' },
      })
      await failure(`${registry.host}/app:v1`)
      await vi.waitFor(() => expect(registry.answering).toBe(0), 2000)
    }
})

describe('images that are wrong', () => {
  const bytes = (size: number) => Buffer.alloc(size, ' ')

  test('an index that points at itself, through others, or ever deeper', async () => {
    const registry = await start()
    const repository = registry.repository('loop')
    const digest = `sha256:${'1'.repeat(64)}` as const
    const self = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests: [{ digest, size: 7, mediaType: mediaTypes.ociIndex }],
      }),
    )
    repository.putManifest(self, mediaTypes.ociIndex, 'v1')
    repository.manifests.set(digest, { bytes: self, mediaType: mediaTypes.ociIndex })
    expect(await failure(`${registry.host}/loop:v1`)).toMatchObject({ code: 'registry.bad_answer' })

    let below = makeImage().manifest
    registry.addImage('deep', makeImage())
    for (let level = 0; level < 6; level++) {
      const index = Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [below] }),
      )
      registry.repository('deep').putManifest(index, mediaTypes.ociIndex, level === 5 ? 'v1' : null)
      below = describeBytes(index, mediaTypes.ociIndex)
    }
    registry.requests.length = 0
    expect(await failure(`${registry.host}/deep:v1`)).toMatchObject({
      code: 'registry.bad_answer',
      message: expect.stringContaining('index of indexes'),
    })
    expect(registry.requests.length).toBeLessThan(6)
  })

  test.each<[string, (registry: FaultyRegistry) => void, string]>([
    [
      'more entries than an index has',
      (r) =>
        void r.addIndex('x:v1', Array(10_001).fill({ digest: `sha256:${'2'.repeat(64)}`, size: 1, mediaType: 'x' })),
      'image.bad_manifest',
    ],
    [
      'a manifest of 5 MiB',
      (r) => void r.addImage('x:v1', { manifest: { annotations: { a: bytes(5 << 20).toString() } } }),
      'registry.too_large',
    ],
    [
      'a manifest whose size is announced as 5 MiB',
      (r) => void r.addIndex('x:v1', [{ ...r.addImage('x').manifest, size: 5 << 20 }]),
      'registry.too_large',
    ],
    [
      'a manifest of another size than its index says',
      (r) => void r.addIndex('x:v1', [{ ...r.addImage('x').manifest, size: 3 }]),
      'registry.bad_answer',
    ],
    [
      'a configuration of 5 MiB',
      (r) => void r.addImage('x:v1', { config: { author: bytes(5 << 20).toString() } }),
      'registry.too_large',
    ],
    ['a configuration that is no JSON', (r) => addWithConfig(r, Buffer.from('hello')), 'content.bad_json'],
    ['a configuration that is a list', (r) => addWithConfig(r, Buffer.from('[]')), 'image.bad_manifest'],
    [
      'more layers than the configuration',
      (r) => void r.addImage('x:v1', { config: { rootfs: { type: 'layers', diff_ids: [] } } }),
      'image.bad_manifest',
    ],
    ['sizes that are no sizes', (r) => addWithLayer(r, { size: -1 }), 'image.bad_manifest'],
    ['a size of fractions', (r) => addWithLayer(r, { size: 1.5 }), 'image.bad_manifest'],
    [
      'digests that lead out of the store',
      (r) => addWithLayer(r, { digest: 'sha256:../../../../etc/passwd' }),
      'image.bad_manifest',
    ],
    ['a layer that is smaller than it says', (r) => addWithLayer(r, { size: 1 << 20 }), 'content.size_mismatch'],
    ['a layer that is larger than it says', (r) => addWithLayer(r, { size: 10 }), 'content.size_mismatch'],
    ['a layer that is not there', (r) => addWithLayer(r, { digest: `sha256:${'3'.repeat(64)}` }), 'registry.not_found'],
    [
      'an artifact',
      (r) =>
        void r.addImage('x:v1', {
          manifest: { config: describeBytes(Buffer.from('{}'), 'application/vnd.cncf.helm.config.v1+json') },
        }),
      'registry.unsupported_manifest',
    ],
    [
      'a foreign layer',
      (r) => addWithLayer(r, { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }),
      'registry.unsupported_manifest',
    ],
    [
      'an encrypted layer',
      (r) => addWithLayer(r, { mediaType: `${mediaTypes.ociLayerGzip}+encrypted` }),
      'registry.unsupported_manifest',
    ],
    [
      'an index and a manifest at once',
      (r) => void r.addImage('x:v1', { manifest: { manifests: [] } }),
      'registry.bad_answer',
    ],
    [
      'a manifest of schema 1',
      (r) =>
        void r.addImage('x:v1', {
          manifest: { schemaVersion: 1, mediaType: 'application/vnd.docker.distribution.manifest.v1+prettyjws' },
        }),
      'image.schema1',
    ],
  ])('%s', async (_, add, code) => {
    const registry = await start()
    add(registry)
    expect(await failure(`${registry.host}/x:v1`)).toMatchObject({ code })
    expect(registry.requests.length).toBeLessThan(20)
  })

  function addWithLayer(registry: FaultyRegistry, changes: object): void {
    const good = registry.addImage('x')
    registry.addImage('x:v1', { manifest: { layers: [{ ...good.layers[0], ...changes }] } })
  }

  function addWithConfig(registry: FaultyRegistry, config: Buffer): void {
    registry.repository('x').blobs.set(describeBytes(config, '').digest, config)
    registry.addImage('x:v1', { manifest: { config: describeBytes(config, mediaTypes.ociConfig) } })
  }
})

describe('secrets', () => {
  const [password, identity, bearer] = ['pass-hunter2', 'identity-hunter2', 'bearer-hunter2']

  /** Neither in what is thrown, with everything below it, nor in progress. */
  function expectNoSecrets(...shown: unknown[]): void {
    const basic = Buffer.from(`me:${password}`).toString('base64')
    for (const value of shown) {
      const text = `${inspect(value, { depth: null, showHidden: true })} ${String(value)} ${JSON.stringify(value)}`
      for (const secret of ['hunter2', basic]) expect(text).not.toContain(secret)
      expect(text).not.toMatch(/token-[0-9a-f]{32}/)
    }
  }

  test('credentials do not go to another host, not even when that asks for them', async () => {
    const [registry, other] = [await start({ auth: { scheme: 'basic', users: { me: password } } }), await start()]
    const image = registry.addImage('app:v1', { layers: [layer] })
    registry.fault({ on: 'blob', kind: 'redirect', to: `http://${other.host}{path}` })
    const client = clientOf({ hosts: { [registry.host]: { credentials: { username: 'me', password } } } })
    // Asks with a challenge of its own, and with one of the first registry's kind.
    for (const challenge of ['Basic realm="x"', `Bearer realm="http://${other.host}/token",service="x"`]) {
      other.heal()
      other.fault({ on: 'blob', kind: 'answer', status: 401, headers: { 'www-authenticate': challenge } })
      const error = await failure(`${registry.host}/app:v1`, client)
      expect(error).toMatchObject({ code: 'registry.unauthorized' })
      expectNoSecrets(error)
      expect(other.requests.length).toBeGreaterThan(0)
      for (const { headers, kind } of other.requests) {
        expect(headers['authorization']).toBeUndefined()
        expect(kind).toBe('blob')
      }
    }
    // What is there without them comes.
    other.heal()
    other.addImage('app:v1', image)
    await pullImage(services, () => client, `${registry.host}/app:v1`)
    expect(other.requests.every(({ headers }) => headers['authorization'] === undefined)).toBe(true)
    expect(other.requests.length).toBe(2)
  })

  test('a mirror and a location get their own credentials, not those of the name', async () => {
    const [mirror, place] = [await start(), await start({ auth: { scheme: 'basic', users: { me: password } } })]
    mirror.fault({ kind: 'answer', status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } })
    place.addImage('hub/library/app:v1')
    const asked: string[] = []
    const client = clientOf({
      hosts: { 'docker.io': { mirrors: [`http://${mirror.host}`], location: `http://${place.host}/v2/hub` } },
      credentials: async (registry) => {
        asked.push(registry)
        return registry === place.host ? { username: 'me', password } : null
      },
    })
    expect((await pullImage(services, () => client, 'app:v1')).names[0]).toBe('docker.io/library/app:v1')
    expect(asked).toEqual([mirror.host, place.host])
    expect(mirror.requests.some(({ headers }) => headers['authorization'] !== undefined)).toBe(false)
  })

  test.each([
    ['a password', { username: 'me', password }, { scheme: 'bearer', users: { me: password } }],
    ['an identity token', { identityToken: identity }, { scheme: 'bearer', users: {}, identityTokens: [identity] }],
    ['basic', { username: 'me', password }, { scheme: 'basic', users: { me: password } }],
    ['a registry token', { registryToken: bearer }, { scheme: 'bearer', users: {} }],
  ] as const)('%s is in no error and no progress, whatever the registry repeats', async (_, credentials, auth) => {
    const registry = await start({ auth })
    if ('registryToken' in credentials) registry.auth.tokens.set(bearer, ['repository:app:pull'])
    registry.addImage('app:v1', { layers: [layer] })
    const client = () => clientOf({ hosts: { [registry.host]: { credentials } } })
    const shown: unknown[] = []
    const faults: RegistryFault[] = [
      { on: 'manifest', kind: 'cut', after: 10 },
      { on: 'blob', kind: 'reset', after: 10 },
      { on: 'blob', kind: 'redirect', to: 'http://127.0.0.1:1{path}?X-Signature=hunter2' },
      { on: 'blob', kind: 'redirect', to: `https://me:${password}@127.0.0.1:1/` },
      { on: 'blob', kind: 'redirect', to: `ftp://me:${password}@127.0.0.1:1/` },
      { on: 'token', kind: 'answer', status: 200, body: `{"token": "${bearer}` },
      { on: 'token', kind: 'answer', status: 401, body: `{"errors":[{"message":"${password} ${identity}"}]}` },
      {
        kind: 'answer',
        status: 401,
        headers: { 'www-authenticate': `Bearer realm="http://me:${password}@x/?t=hunter2"` },
      },
    ]
    for (const fault of faults) {
      registry.heal()
      registry.fault(fault)
      const pulling = pullImage(services, client, `${registry.host}/app:v1`)
      try {
        for await (const event of pulling) shown.push(event)
      } catch (error) {
        shown.push(error)
      }
    }
    // Repeats what it was sent, as servers with a loose tongue do.
    registry.heal()
    const same = client()
    await pullImage(services, () => same, `${registry.host}/app:v1`)
    const words = registry.requests.flatMap(({ headers }) => (headers['authorization'] ?? '').split(' '))
    const said = JSON.stringify({ errors: [{ code: 'X', message: `you said ${words.slice(-8).join(', ')}` }] })
    registry.fault({ on: 'tags', kind: 'answer', status: 400, body: said })
    const [repository] = same.repositories(parseReference(`${registry.host}/app`), 'pull')
    const error: unknown = await Array.fromAsync(repository!.tags()).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'registry.refused_request' })
    expectNoSecrets(...shown, error)
  })

  test('wrong options are refused without their secrets', () => {
    for (const hosts of [
      { x: { location: `https://me:${password}@mirror.example/` } },
      { x: { location: `me:${password}@mirror.example/` } },
      { x: { mirrors: [`http://mirror.example/?key=${bearer}`] } },
      { x: { mirrors: `https://me:${password}@mirror.example` } },
      { x: { credentials: { username: 'me', password, token: bearer } } },
      { x: { clientCertificate: { cert: password, key: bearer } } },
    ]) {
      const made = () => parseRegistriesOptions({ hosts } as never)
      expect(made).toThrow(expect.objectContaining({ code: 'registry.bad_config' }))
      try {
        made()
      } catch (error) {
        expectNoSecrets(error)
      }
    }
  })
})

describe('tokens', () => {
  test('one that ends in the middle of a pull is asked for anew, and once for all who wait', async () => {
    const registry = await start({ auth: { scheme: 'bearer', users: { me: 'x' } } })
    registry.addImage('app:v1', { layers: [layer, await tarOf([{ name: 'b', body: randomBytes(200_000) }])] })
    const client = clientOf({ hosts: { [registry.host]: { credentials: { username: 'me', password: 'x' } } } })
    registry.fault({ on: 'blob', kind: 'cut', after: 100_000, times: 2 })
    const pulling = pullImage(services, () => client, `${registry.host}/app:v1`)
    for await (const event of pulling)
      if (event.type === 'stage' && event.stage === 'fetch') registry.auth.tokens.clear()
    await pulling
    expect(registry.auth.issued).toBe(2)
  })

  test('a token service that is busy is asked again', async () => {
    const registry = await start({ auth: { scheme: 'bearer' } })
    registry.addImage('app:v1')
    registry.fault({ on: 'token', kind: 'answer', status: 429, headers: { 'retry-after': '0' }, times: 1 })
    await pullImage(services, () => clientOf(), `${registry.host}/app:v1`)
    registry.fault({ on: 'token', kind: 'answer', status: 503 })
    expect(
      await pullImage(services, () => clientOf(), `${registry.host}/app:v1`).catch((error) => error),
    ).toMatchObject({
      code: 'registry.server_error',
    })
  })
})

test('what a registry says of its limit is told, and a pause that it asks for is kept', async () => {
  const registry = await start()
  registry.addImage('app:v1')
  const headers = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600' }
  registry.fault({ on: 'manifest', kind: 'answer', status: 429, headers: { ...headers, 'retry-after': '1' }, times: 1 })
  registry.fault({ on: 'manifest', kind: 'headers', headers })
  const texts: string[] = []
  const before = performance.now()
  const pulling = pullImage(services, () => clientOf(), `${registry.host}/app:v1`)
  for await (const event of pulling) if (event.type === 'message') texts.push(event.text)
  await pulling
  expect(performance.now() - before).toBeGreaterThan(990)
  expect(texts).toEqual([`${registry.host}: 76 of 100 pulls are left, for 6 h.`])
  registry.heal()
  registry.fault({ on: 'manifest', kind: 'answer', status: 429, headers: { ...headers, 'retry-after': '600' } })
  expect(await pullImage(services, () => clientOf(), `${registry.host}/app:v1`).catch((error) => error)).toMatchObject({
    code: 'registry.rate_limited',
    details: { retryAfterMs: 600_000, rateLimit: { limit: 100, remaining: 76, windowSeconds: 21600 } },
  })
})

test('a registry that breaks off after every few kilobytes brings the image in the end', async () => {
  const registry = await start()
  registry.addImage('app:v1', { layers: [layer] })
  registry.fault({ on: 'blob', kind: 'cut', after: 40_000 })
  await pullImage(services, () => clientOf(), `${registry.host}/app:v1`)
  expect(fixture.files().ingest).toEqual([])
})

test('a registry in the clear that redirects to itself is still told who asks', async () => {
  const registry = await start({ auth: { scheme: 'basic', users: { me: 'x' } } })
  registry.addImage('app:v1', { layers: [layer] })
  registry.fault({ on: 'blob', kind: 'redirect', to: '{path}', times: 1 })
  const client = clientOf({ hosts: { [registry.host]: { credentials: { username: 'me', password: 'x' } } } })
  await pullImage(services, () => client, `${registry.host}/app:v1`)
})

test('who waits for credentials of Basic can abort', async () => {
  const registry = await start({ auth: { scheme: 'basic', users: { me: 'x' } } })
  registry.addImage('app:v1')
  const client = clientOf({ credentials: () => new Promise(() => {}) })
  const signal = AbortSignal.timeout(100)
  await expect(pullImage(services, () => client, `${registry.host}/app:v1`, { signal })).rejects.toMatchObject({
    name: 'AbortError',
  })
})
