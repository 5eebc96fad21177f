import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { parseReference } from '../reference/reference.ts'
import { FaultyRegistry } from '../testing/registry/faulty-registry.ts'
import { openRegistries } from './open-registries.ts'
import { parseRegistriesOptions } from './registry-options.ts'

const variables = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'] as const
const before = variables.map((name) => [name, process.env[name]] as const)
afterEach(() => {
  for (const [name, value] of before)
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
})

/** Sends everything to one place, whatever was asked for; lets in who has the password. */
async function startProxy(target: string, password: string) {
  const seen: string[] = []
  const [host, port] = target.split(':') as [string, string]
  const isKnown = (incoming: IncomingMessage) =>
    incoming.headers['proxy-authorization'] === `Basic ${btoa(`me:${password}`)}`
  const server = createServer((incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url}`)
    if (!isKnown(incoming)) return void outgoing.writeHead(407).end()
    const { pathname, search } = new URL(incoming.url!)
    const onward = request({ host, port, path: pathname + search, method: incoming.method, headers: incoming.headers })
    onward.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(outgoing)
    })
    incoming.pipe(onward)
  })
  server.on('connect', (incoming: IncomingMessage, socket: Socket) => {
    seen.push(`CONNECT ${incoming.url}`)
    socket.on('error', () => {})
    if (!isKnown(incoming)) return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      onward.pipe(socket).pipe(onward)
    })
    onward.on('error', () => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as { readonly port: number }
  return {
    host: `127.0.0.1:${address.port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const tagsOf = async (name: string, insecure = true) => {
  const reference = parseReference(name)
  using client = openRegistries({
    config: parseRegistriesOptions({
      dockerConfig: null,
      attempts: 1,
      stallMs: 2000,
      hosts: { [reference.domain]: { insecure } },
    }),
    offline: false,
    run: () => Promise.reject(new Error('no helper is to be run')),
    env: {},
  })
  return await Array.fromAsync(client.tags(reference))
}

test('proxies of the environment are used, but not for loopback and what NO_PROXY names', async () => {
  await using registry = await FaultyRegistry.start()
  registry.addImage('app:v1')
  await using proxy = await startProxy(registry.host, 'hunter2')
  process.env['HTTPS_PROXY'] = process.env['HTTP_PROXY'] = `http://me:hunter2@${proxy.host}`
  delete process.env['NO_PROXY']
  expect(await tagsOf('registry.invalid/app')).toEqual(['v1'])
  // TLS is tried first, through the proxy too.
  expect(proxy.seen).toEqual(['CONNECT registry.invalid:443', 'GET http://registry.invalid/v2/app/tags/list?n=1000'])
  proxy.seen.length = 0
  expect(await tagsOf(`${registry.host}/app`)).toEqual(['v1'])
  process.env['NO_PROXY'] = 'registry.invalid'
  await expect(tagsOf('registry.invalid/app')).rejects.toMatchObject({ code: 'registry.unreachable' })
  expect(proxy.seen).toEqual([])
})

test.each([
  ['that lets nobody in', (host: string) => `http://me:wrong-hunter2@${host}`],
  ['that is not there', () => 'http://me:wrong-hunter2@127.0.0.1:1'],
])('a proxy %s is told without its password', async (_, address) => {
  await using registry = await FaultyRegistry.start()
  await using proxy = await startProxy(registry.host, 'right')
  process.env['HTTPS_PROXY'] = process.env['HTTP_PROXY'] = address(proxy.host)
  for (const insecure of [true, false]) {
    const error: unknown = await tagsOf('registry.invalid/app', insecure).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: expect.stringMatching(/^registry\./) })
    const text = inspect(error, { depth: null, showHidden: true })
    expect(text).not.toContain('hunter2')
    expect(text).not.toContain(btoa('me:wrong-hunter2'))
  }
})
