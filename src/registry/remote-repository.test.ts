import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { getCACertificates, rootCertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../oci/digest.ts'
import { parseReference } from '../reference/reference.ts'
import { FaultyRegistry } from '../testing/registry/faulty-registry.ts'
import { DockerConfigCredentials } from './docker-config.ts'
import { RegistryClient } from './registry-client.ts'
import { makeCertificate, type RegistryServer, startRegistry, TokenSigner } from './registry-fixture.ts'
import { parseRegistriesOptions, type RegistriesOptions } from './registry-options.ts'
import type { RemoteRepository } from './remote-repository.ts'
import { sendBlob } from './send-blob.ts'

const noHelpers = async () => {
  throw new Error('no helper is to be run')
}

const clientOf = (config: RegistriesOptions = {}, offline = false) =>
  new RegistryClient({
    config: parseRegistriesOptions({ attempts: 2, ...config }),
    docker: new DockerConfigCredentials(null, {}, noHelpers),
    offline,
  })

const repositoryOf = (client: RegistryClient, name: string, purpose: 'pull' | 'push' = 'push'): RemoteRepository =>
  client.repositories(parseReference(name), purpose).at(-1)!

const tagsOf = (repository: RemoteRepository) => Array.fromAsync(repository.tags())

async function everything(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

const blob = randomBytes(3_000_000)
const digest = digestOf(blob)

async function push(repository: RemoteRepository, bytes: Buffer): Promise<void> {
  const facts = { digest: digestOf(bytes), size: bytes.length }
  const open = (start: number, length: number) =>
    Readable.from([bytes.subarray(start, start + length)], { objectMode: false })
  await sendBlob(repository, { ...facts, open }, {})
}

/** A server on loopback, with the connections that are open. */
async function listen(server: TcpServer) {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    sockets,
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await once(server.close(), 'close')
    },
  }
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: blob.length },
    layers: [],
  }),
)

describe('a registry in the clear on loopback', () => {
  let server: RegistryServer
  let client: RegistryClient

  beforeAll(async () => {
    server = await startRegistry()
    client = clientOf()
  })
  afterAll(async () => {
    client[Symbol.dispose]()
    await server[Symbol.asyncDispose]()
  })

  test('blobs and manifests go there and come back', async () => {
    const repository = repositoryOf(client, `${server.host}/a/b`)
    expect(await repository.blobSize(digest)).toBeNull()
    await push(repository, blob)
    expect(await repository.blobSize(digest)).toBe(blob.length)
    const whole = await repository.blob(digest, 0)
    expect(digestOf(await everything(whole.chunks))).toBe(digest)
    const rest = await repository.blob(digest, 1_000_000)
    expect(rest.offset).toBe(1_000_000)
    expect((await everything(rest.chunks)).equals(blob.subarray(1_000_000))).toBe(true)

    await repository.putManifest('v1', { bytes: manifest, mediaType: manifestType })
    await repository.putManifest('v2', { bytes: manifest, mediaType: manifestType })
    const facts = { digest: digestOf(manifest), mediaType: manifestType }
    expect(await repository.look('v1')).toEqual({ ...facts, size: manifest.length })
    expect(await repository.manifest('v1')).toEqual({ ...facts, bytes: manifest, rateLimit: null })
    expect(await repository.manifest(facts.digest)).toEqual({ ...facts, bytes: manifest, rateLimit: null })
    expect(await Array.fromAsync(repository.tags())).toEqual(['v1', 'v2'])
  })

  test('a blob of another repository is mounted', async () => {
    await push(repositoryOf(client, `${server.host}/from`), blob)
    const repository = repositoryOf(client, `${server.host}/to`)
    expect(await repository.uploads.mount(digest, 'from')).toBe('mounted')
    expect(await repository.blobSize(digest)).toBe(blob.length)
    expect(await repository.uploads.mount(digestOf(Buffer.from('x')), 'from')).toMatchObject({ offset: 0 })
  })

  test('what is not there is said so', async () => {
    const repository = repositoryOf(client, `${server.host}/nothing`)
    for (const work of [
      () => repository.manifest('latest'),
      () => repository.look('latest'),
      () => repository.blob(digest, 0),
      () => tagsOf(repository),
    ])
      await expect(work()).rejects.toMatchObject({ code: 'registry.not_found', details: { status: 404 } })
  })

  test('an aborted request ends', async () => {
    const repository = repositoryOf(client, `${server.host}/a/b`)
    await expect(repository.manifest('v1', { signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: 'aborted' })
    const controller = new AbortController()
    const { chunks } = await repository.blob(digest, 0, { signal: controller.signal })
    await expect(
      (async () => {
        for await (const _ of chunks) controller.abort()
      })(),
    ).rejects.toMatchObject({ kind: 'aborted' })
  })
})

describe('TLS', () => {
  let server: RegistryServer

  beforeAll(async () => {
    server = await startRegistry({ tls: true })
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test('with its own authority', async () => {
    using client = clientOf({ hosts: { [server.host]: { insecure: false, ca: server.ca! } } })
    await push(repositoryOf(client, `${server.host}/a`), blob)
  })

  test('an authority of its own stands besides those that Node knows', async () => {
    const known = getCACertificates('default')
    setDefaultCACertificates([...known, server.ca!])
    try {
      using client = clientOf({ hosts: { [server.host]: { insecure: false, ca: rootCertificates[0]! } } })
      await push(repositoryOf(client, `${server.host}/c`), blob)
    } finally {
      setDefaultCACertificates(known)
    }
  })

  test('who has spoken TLS is not asked in the clear after a break, insecure or not', async () => {
    const asked: string[] = []
    let isBroken = false
    // As servers are that answer both, the one with a refusal.
    await using front = await listen(
      createTcpServer((socket) =>
        socket
          .on('error', () => {})
          .once('data', (first: Buffer) => {
            if (first[0] !== 0x16) {
              asked.push(first.toString())
              socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
              return
            }
            if (isBroken) return socket.resetAndDestroy()
            const onward = connect(Number(server.host.split(':')[1]), '127.0.0.1')
            onward.on('error', () => {}).on('close', () => socket.destroy())
            onward.write(first)
            socket.pipe(onward).pipe(socket)
          }),
      ),
    )
    using client = clientOf({ attempts: 4 })
    const repository = repositoryOf(client, `${front.host}/d`)
    await push(repository, blob)
    using second = clientOf({ attempts: 1 })
    const other = repositoryOf(second, `${front.host}/d`)
    expect(await other.blobSize(digest)).toBe(blob.length)
    isBroken = true
    for (const socket of front.sockets) socket.resetAndDestroy()
    await expect(other.blobSize(digest)).rejects.toMatchObject({ code: 'registry.unreachable' })
    isBroken = false
    expect(await other.blobSize(digest)).toBe(blob.length)
    expect(asked).toEqual([])
  })

  test('no upload leads from HTTPS to plain HTTP', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'certificate-'))
    try {
      const { cert, key, ca } = makeCertificate(directory)
      await using plain = await FaultyRegistry.start()
      await using registry = await FaultyRegistry.start({
        tls: { cert: readFileSync(cert), key: readFileSync(key) },
      })
      registry.fault({
        on: 'upload',
        method: 'POST',
        kind: 'headers',
        headers: { location: `http://${plain.host}/v2/a/blobs/uploads/1` },
      })
      using client = clientOf({ hosts: { [registry.host]: { insecure: false, ca } } })
      await expect(push(repositoryOf(client, `${registry.host}/a`), blob)).rejects.toMatchObject({
        code: 'registry.bad_answer',
      })
      expect(plain.requests).toEqual([])
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  test('an unknown authority is refused, unless insecure; loopback is', async () => {
    using strict = clientOf({ hosts: { [server.host]: { insecure: false } } })
    await expect(tagsOf(repositoryOf(strict, `${server.host}/a`))).rejects.toMatchObject({ code: 'registry.tls' })
    using loose = clientOf()
    await push(repositoryOf(loose, `${server.host}/b`), blob)
  })

  test('a registry without TLS that must have it', async () => {
    await using plain = await startRegistry()
    using strict = clientOf({ hosts: { [plain.host]: { insecure: false } } })
    await expect(tagsOf(repositoryOf(strict, `${plain.host}/a`))).rejects.toMatchObject({ code: 'registry.plain_http' })
  })
})

describe('authentication', () => {
  test('basic', async () => {
    await using server = await startRegistry({ users: { me: 'secret!' } })
    const credentials = { username: 'me', password: 'secret!' }
    using client = clientOf({ hosts: { [server.host]: { credentials } } })
    const repository = repositoryOf(client, `${server.host}/a`)
    await expect(tagsOf(repository)).rejects.toMatchObject({ code: 'registry.not_found' })
    await push(repository, blob)
    using unknown = clientOf()
    await expect(tagsOf(repositoryOf(unknown, `${server.host}/a`))).rejects.toMatchObject({
      code: 'registry.unauthorized',
    })
    using wrong = clientOf({ credentials: async () => ({ username: 'me', password: 'hunter2' }) })
    const refused = await tagsOf(repositoryOf(wrong, `${server.host}/a`)).catch((error: unknown) => error)
    expect(refused).toMatchObject({
      code: 'registry.unauthorized',
      message: expect.stringContaining('credentials of me'),
    })
    expect(JSON.stringify(refused) + String(refused)).not.toContain('hunter2')
  })

  test('bearer tokens: by scope, shared, renewed; with a password, an identity token, or nobody', async () => {
    const signer = new TokenSigner()
    const asked: { method: string; url: URL; authorization: string | undefined; body: string }[] = []
    let seconds = 300
    await using service = await serve(async (request, response) => {
      const url = new URL(request.url!, 'http://x')
      const body = Buffer.concat(await Array.fromAsync(request)).toString()
      asked.push({ method: request.method!, url, authorization: request.headers.authorization, body })
      const scopes =
        request.method === 'POST' ? [new URLSearchParams(body).get('scope')!] : url.searchParams.getAll('scope')
      if (request.headers.authorization === `Basic ${btoa('me:wrong')}`) return void response.writeHead(401).end()
      response.end(JSON.stringify({ token: signer.sign(scopes, seconds), expires_in: seconds }))
    })
    await using server = await startRegistry({
      tokens: { realm: `http://${service.host}/token`, certificate: signer.certificate },
    })
    using client = clientOf({ hosts: { [server.host]: { credentials: { username: 'me', password: 'right' } } } })
    const repository = repositoryOf(client, `${server.host}/team/app`)
    await push(repository, blob)
    await Promise.all(Array.from({ length: 10 }, () => repository.blobSize(digest)))
    expect(asked.map(({ url }) => url.searchParams.getAll('scope'))).toEqual([['repository:team/app:pull,push']])
    expect(asked[0]).toMatchObject({ method: 'GET', authorization: `Basic ${btoa('me:right')}` })
    expect(asked[0]!.url.searchParams.get('service')).toBe('test-registry')

    await repository.uploads.mount(digest, 'team/other')
    expect(asked[1]!.url.searchParams.getAll('scope')).toEqual([
      'repository:team/app:pull,push',
      'repository:team/other:pull',
    ])

    // Shorter than the margin: never used a second time.
    seconds = 4
    using short = clientOf({ hosts: { [server.host]: { credentials: { identityToken: 'refresh-me' } } } })
    const other = repositoryOf(short, `${server.host}/team/app`, 'pull')
    await other.blobSize(digest)
    await other.blobSize(digest)
    const exchanges = asked.slice(2)
    expect(exchanges.length).toBe(2)
    expect(exchanges[0]!.method).toBe('POST')
    expect(Object.fromEntries(new URLSearchParams(exchanges[0]!.body))).toMatchObject({
      grant_type: 'refresh_token',
      refresh_token: 'refresh-me',
      scope: 'repository:team/app:pull',
    })

    using nobody = clientOf()
    await repositoryOf(nobody, `${server.host}/team/app`, 'pull').blobSize(digest)
    expect(asked.at(-1)!.authorization).toBeUndefined()

    using wrong = clientOf({ hosts: { [server.host]: { credentials: { username: 'me', password: 'wrong' } } } })
    await expect(tagsOf(repositoryOf(wrong, `${server.host}/team/app`))).rejects.toMatchObject({
      code: 'registry.unauthorized',
    })
  })
})

test('mirrors come first when pulling, not when pushing; blocked and offline are refused by name', () => {
  const hosts = {
    'docker.io': { mirrors: ['mirror.example/hub', 'http://127.0.0.1:1'] },
    'evil.example': { blocked: true },
  }
  using client = clientOf({ hosts })
  const bases = (purpose: 'pull' | 'push') =>
    client.repositories(parseReference('busybox'), purpose).map(({ endpoint }) => endpoint.base.href)
  expect(bases('pull')).toEqual(['https://mirror.example/', 'http://127.0.0.1:1/', 'https://registry-1.docker.io/'])
  expect(bases('push')).toEqual(['https://registry-1.docker.io/'])
  expect(() => client.repositories(parseReference('evil.example/x'), 'pull')).toThrow(
    expect.objectContaining({ code: 'registry.blocked' }),
  )
  using offline = clientOf({}, true)
  expect(() => offline.repositories(parseReference('busybox'), 'pull')).toThrow(
    expect.objectContaining({ code: 'registry.offline' }),
  )
})

/** A server that answers as the test says. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => unknown) {
  const server: Server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as { readonly port: number }
  return {
    host: `127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
