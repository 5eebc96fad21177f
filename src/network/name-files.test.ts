import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Diagnostic } from '../driver-kit/diagnostics.ts'
import { formatHosts, ownEntries, parseExtraHost } from './hosts-file.ts'
import { NameFiles } from './name-files.ts'
import type { EndpointFacts, NetworkedContainer } from './network-facts.ts'
import { isLoopback, parseResolvConf, reachableServers } from './resolv-conf.ts'

let directory = ''
let diagnostics: Diagnostic[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsc-names-'))
  diagnostics = []
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const path = (name: string) => join(directory, name)
const read = (name: string) => readFileSync(path(name), 'utf8')

function files(main: string | null, behindStub: string | null, dns?: string[]): NameFiles {
  if (main !== null) writeFileSync(path('main'), main)
  if (behindStub !== null) writeFileSync(path('behind'), behindStub)
  return new NameFiles({
    diagnostics: (diagnostic) => diagnostics.push(diagnostic),
    dns,
    resolverFiles: { main: path('main'), behindStub: path('behind') },
  })
}

const container = (more: Partial<NetworkedContainer> = {}): NetworkedContainer => ({
  id: 'a'.repeat(64),
  name: 'web',
  hostname: 'web-1.example',
  directory,
  ...more,
})

const endpoint = (...addresses: string[]): EndpointFacts => ({
  networkName: 'bridge',
  networkId: 'n',
  endpointId: 'e',
  interfaceName: 'eth0',
  mac: '02:42:ac:11:00:02',
  addresses,
  gateways: ['172.17.0.1'],
})

describe('resolv.conf', () => {
  test('is read as resolv.conf(5) says', () => {
    expect(
      parseResolvConf(
        '# nameserver 9.9.9.9\nnameserver 10.0.0.1\n\tnameserver\t10.0.0.2 \nnameserver\ndomain a\nsearch b c\noptions ndots:2\noptions rotate\nnonsense',
      ),
    ).toEqual({ servers: ['10.0.0.1', '10.0.0.2'], search: ['b', 'c'], options: ['ndots:2', 'rotate'] })
  })

  test('loopback, zones and unreachable families are left out', () => {
    expect(['127.0.0.53', '127.1.2.3', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'].map(isLoopback)).toEqual(
      Array(5).fill(true),
    )
    expect(['10.0.0.1', '::2', 'fd00::1', '1::1', '128.0.0.1'].map(isLoopback)).toEqual(Array(5).fill(false))
    const servers = ['10.0.0.1', '127.0.0.1', 'fd00::53', 'fe80::1%eth0', 'nonsense']
    expect(reachableServers(servers, false)).toEqual(['10.0.0.1'])
    expect(reachableServers(servers, true)).toEqual(['10.0.0.1', 'fd00::53'])
  })

  test('behind a stub on loopback, the servers that the stub asks', () => {
    files('nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch old\n', 'nameserver 10.0.0.53\nsearch lan\n').write(
      container(),
      'private',
      [endpoint('172.17.0.2/16')],
    )
    expect(read('resolv.conf')).toBe('nameserver 10.0.0.53\nsearch lan\n')
    expect(diagnostics).toEqual([])
  })

  test('without a usable server nothing is made up, and somebody is told once', () => {
    const names = files('nameserver 127.0.0.1\nsearch lan\n', null)
    for (let i = 0; i < 3; i++) names.write(container(), 'private', [endpoint('172.17.0.2/16')])
    expect(read('resolv.conf')).toBe('search lan\n')
    expect(diagnostics).toEqual([
      expect.objectContaining({ level: 'warning', message: expect.stringContaining('127.0.0.1') }),
    ])
    files(null, null).write(container(), 'private', [])
    expect(diagnostics).toHaveLength(1)
  })

  test('follows changes of the host', () => {
    const names = files('nameserver 10.0.0.1\n', null)
    names.write(container(), 'private', [endpoint('172.17.0.2/16')])
    writeFileSync(path('main'), 'nameserver 10.0.0.2\n')
    names.write(container(), 'private', [endpoint('172.17.0.2/16')])
    expect(read('resolv.conf')).toBe('nameserver 10.0.0.2\n')
  })

  test('the host network gets the host’s file, byte for byte', () => {
    files('# mine\nnameserver 127.0.0.53\n', 'nameserver 10.0.0.53\n').write(container(), 'host', [])
    expect(read('resolv.conf')).toBe('# mine\nnameserver 127.0.0.53\n')
  })

  test('what a container names goes first, then the engine’s servers', () => {
    const names = files('nameserver 10.0.0.1\nsearch lan\noptions rotate\n', null, ['192.0.2.1'])
    names.write(container(), 'private', [endpoint('172.17.0.2/16')])
    expect(read('resolv.conf')).toBe('nameserver 192.0.2.1\nsearch lan\noptions rotate\n')
    const own = container({ dns: ['192.0.2.2', '127.0.0.1'], dnsSearch: ['.'], dnsOptions: ['ndots:5'] })
    names.write(own, 'private', [endpoint('172.17.0.2/16')])
    expect(read('resolv.conf')).toBe('nameserver 192.0.2.2\nnameserver 127.0.0.1\noptions ndots:5\n')
  })

  test.each([
    [{ dns: ['resolver.example'] }, 'resolver.example'],
    [{ dns: ['10.0.0.1\nnameserver 6.6.6.6'] }, 'dns'],
    [{ dnsSearch: ['a b'] }, 'dnsSearch'],
    [{ dnsOptions: [''] }, 'dnsOptions'],
  ])('%j is refused', (more, named) => {
    expect(() => files('', null).check(container(more))).toThrow(
      expect.objectContaining({ code: 'network.bad_dns', message: expect.stringContaining(named) }),
    )
  })
})

describe('hosts', () => {
  test('own name, labels and container name for each address', () => {
    expect(ownEntries(['172.17.0.2/16', 'fd00::2/64'], 'web-1.example', 'web')).toEqual([
      { address: '172.17.0.2', name: 'web-1.example web-1 web' },
      { address: 'fd00::2', name: 'web-1.example web-1 web' },
    ])
    expect(ownEntries(['10.0.0.2/8'], 'x', 'x')).toEqual([{ address: '10.0.0.2', name: 'x' }])
    expect(ownEntries(['10.0.0.2/8'], 'a b', '\n')).toEqual([])
  })

  test('extra entries', () => {
    expect(parseExtraHost('db:10.0.0.5', null)).toEqual({ name: 'db', address: '10.0.0.5' })
    expect(parseExtraHost('db=fd00::5', null)).toEqual({ name: 'db', address: 'fd00::5' })
    expect(parseExtraHost('db:[fd00::5]', null)).toEqual({ name: 'db', address: 'fd00::5' })
    expect(parseExtraHost('host:host-gateway', '172.17.0.1')).toEqual({ name: 'host', address: '172.17.0.1' })
    expect(() => parseExtraHost('host:host-gateway', null)).toThrow('no gateway')
    for (const wrong of ['', 'db', 'db:', ':10.0.0.1', 'a b:10.0.0.1', 'db:nonsense', 'db:10.0.0.1\n6.6.6.6 bank'])
      expect(() => parseExtraHost(wrong, null)).toThrow(expect.objectContaining({ code: 'network.bad_host_entry' }))
  })

  test('stand below localhost, or below the host’s own on the host network', () => {
    expect(formatHosts([{ name: 'db', address: '10.0.0.5' }])).toMatch(
      /^127\.0\.0\.1\tlocalhost\n.*\n10\.0\.0\.5\tdb\n$/s,
    )
    expect(formatHosts([{ name: 'db', address: '10.0.0.5' }], '1.2.3.4 x')).toBe('1.2.3.4 x\n10.0.0.5\tdb\n')
  })

  test('all files can be read by everybody whatever the umask', () => {
    const before = process.umask(0o077)
    try {
      files('nameserver 10.0.0.1\n', null).write(container({ extraHosts: ['gw:host-gateway'] }), 'private', [
        endpoint('172.17.0.2/16'),
      ])
    } finally {
      process.umask(before)
    }
    for (const name of ['hosts', 'hostname', 'resolv.conf']) expect(statSync(path(name)).mode & 0o777).toBe(0o644)
    expect(read('hostname')).toBe('web-1.example\n')
    expect(read('hosts')).toContain('172.17.0.2\tweb-1.example web-1 web\n172.17.0.1\tgw\n')
  })
})
