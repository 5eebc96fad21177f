import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { bridgeNetwork } from '../../drivers/network/bridge/index.ts'
import { hostNetwork } from '../../drivers/network/host/index.ts'
import { noneNetwork } from '../../drivers/network/none/index.ts'
import type { Diagnostic } from '../driver-kit/diagnostics.ts'
import type { NetworkDriver } from '../driver-kit/network-driver.ts'
import { createFirewall } from '../host/firewall-nftables.ts'
import { createHost, type Host } from '../host/host.ts'
import { CLONE, unshare } from '../host/syscall/namespace.ts'
import { openState, type State } from '../state/open-state.ts'
import type { AttachedNetworks, NetworkServiceOptions } from './network-facts.ts'
import { NetworkService } from './network-service.ts'

const directory = mkdtempSync(join(tmpdir(), 'tsc-networks-'))
const hostDirectory = join(directory, 'host')
const definitions = { bridge: bridgeNetwork, host: hostNetwork, none: noneNetwork }

// One launcher thread for all, started in the namespace that the tests play the host in.
const machine = createHost({ diagnostics: () => {} })

/** One engine's view of a root. */
class Root implements AsyncDisposable {
  readonly diagnostics: Diagnostic[] = []
  readonly state: State
  readonly host: Host
  readonly service: NetworkService
  readonly #drivers = new Map<string, NetworkDriver>()
  readonly #attached: AttachedNetworks[] = []

  constructor(name: string, more: Partial<NetworkServiceOptions> = {}) {
    this.state = openState(join(directory, name))
    const diagnostics = (diagnostic: Diagnostic) => void this.diagnostics.push(diagnostic)
    this.host = { ...machine, links: machine.links, firewall: createFirewall({ hostDirectory }) }
    const driver = async (wanted: string): Promise<NetworkDriver> => {
      const context = { directory, runDirectory: directory, host: this.host, diagnostics }
      const opened =
        this.#drivers.get(wanted) ?? (await definitions[wanted as keyof typeof definitions].open(context, {}))
      this.#drivers.set(wanted, opened)
      return opened
    }
    const { db, rootId } = this.state
    const { rootFile, networksFile } = this.state.paths
    this.service = new NetworkService({
      db,
      rootId,
      rootFile,
      copy: networksFile,
      host: this.host,
      driver,
      diagnostics,
      hostDirectory,
      ...more,
    })
    this.service.open()
  }

  directoryOf(id: string): string {
    return join(directory, `container-${id}`)
  }

  async attach(id: string, wanted: readonly string[] | 'none' | 'host' = ['bridge']): Promise<AttachedNetworks> {
    mkdirSync(this.directoryOf(id), { recursive: true })
    const container = { id, name: `name-${id}`, hostname: id, directory: this.directoryOf(id) }
    const attached = await this.service.attach(container, wanted)
    this.#attached.push(attached)
    return attached
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const attached of this.#attached) await attached.release()
    await this.service.reset()
    for (const driver of this.#drivers.values()) await driver[Symbol.asyncDispose]()
    this.state[Symbol.dispose]()
  }
}

let count = 0
const newRoot = (more?: Partial<NetworkServiceOptions>) => new Root(`root-${count++}`, more)
const sh = (file: string, ...args: string[]) => execFileSync(file, args, { encoding: 'utf8', stdio: 'pipe' })
const inside = (attached: AttachedNetworks, ...command: string[]) =>
  sh('nsenter', `--net=${attached.namespace}`, ...command)
const ping = (from: AttachedNetworks, address: string) => {
  try {
    return inside(from, 'timeout', '0.5', 'busybox', 'ping', '-c1', address).includes('1 packets received')
  } catch {
    return false
  }
}
const bare = (address: string | undefined) => address!.split('/')[0]!

// The tests play the host in a network namespace of their own; its uplink decides the MTU.
beforeAll(() => {
  unshare(CLONE.NEWNET)
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '0')
  sh('ip', 'link', 'set', 'lo', 'up')
  sh('ip', 'link', 'add', 'uplink', 'mtu', '1380', 'type', 'bridge')
  sh('ip', 'addr', 'add', '172.18.0.5/24', 'dev', 'uplink')
  sh('ip', 'link', 'set', 'uplink', 'up')
  sh('ip', 'route', 'add', 'default', 'via', '172.18.0.1')
})

const hostObjects = () => ({
  links: sh('ip', '-o', 'link').match(/tsc[a-z0-9]+/g) ?? [],
  rules: sh('nft', 'list', 'ruleset').trim(),
  forwarding: readFileSync('/proc/sys/net/ipv4/ip_forward', 'latin1').trim(),
  records: readdirSync(hostDirectory).filter((name) => !['networks.lock', 'roots'].includes(name)),
  roots: existsSync(join(hostDirectory, 'roots')) ? readdirSync(join(hostDirectory, 'roots')) : [],
})

afterEach(async () => {
  // The last links follow their namespaces.
  for (let i = 0; i < 500 && hostObjects().links.length > 0; i++) await sleep(10)
  expect(hostObjects()).toEqual({ links: [], rules: '', forwarding: '0', records: [], roots: [] })
})

afterAll(async () => {
  await machine[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true, force: true })
})

describe('the default bridge', () => {
  test('is made on first use, and its containers reach one another, the host, and have names', async () => {
    await using root = newRoot()
    expect(root.service.inspect('bridge').subnets).toEqual([])
    const [a, b] = [await root.attach('a'), await root.attach('b')]
    expect(a.endpoints).toMatchObject([
      {
        networkName: 'bridge',
        interfaceName: 'eth0',
        mac: '02:42:ac:11:00:02',
        addresses: ['172.17.0.2/16'],
        gateways: ['172.17.0.1'],
      },
    ])
    expect(root.service.endpoints('a')).toEqual(a.endpoints)
    expect(root.service.inspect('bridge').endpoints).toEqual({ a: a.endpoints[0], b: b.endpoints[0] })
    expect(ping(a, bare(b.endpoints[0]!.addresses[0]))).toBe(true)
    expect(ping(a, '172.17.0.1')).toBe(true)
    expect(sh('busybox', 'ping', '-c1', '-W1', '172.17.0.2')).toContain('1 packets received')
    expect(inside(a, 'ip', 'link', 'show', 'eth0')).toContain('mtu 1380')
    expect(readFileSync(join(root.directoryOf('a'), 'hosts'), 'utf8')).toContain('172.17.0.2\ta name-a\n')
    expect(readFileSync('/proc/sys/net/ipv4/ip_forward', 'latin1').trim()).toBe('1')
    expect(root.diagnostics.filter(({ message }) => message.includes('ip_forward'))).toHaveLength(1)
    await root.service.detach('a')
    await root.service.detach('a')
    expect(root.service.endpoints('a')).toEqual([])
  })

  test('its rules come back after a foreign flush, at the next start or without one', async () => {
    await using root = newRoot()
    await root.attach('a')
    sh('nft', 'flush', 'ruleset')
    await root.attach('b')
    expect(sh('nft', 'list', 'ruleset')).toContain('masquerade')
    sh('nft', 'flush', 'ruleset')
    for (let i = 0; i < 500 && !sh('nft', 'list', 'ruleset').includes('masquerade'); i++) await sleep(10)
    expect(sh('nft', 'list', 'ruleset')).toContain('masquerade')
  })

  test('comes back when somebody removed it', async () => {
    await using root = newRoot()
    const first = await root.attach('a')
    await first.release()
    const [bridge] = hostObjects().links.filter((name) => name.startsWith('tscbr'))
    sh('ip', 'link', 'del', bridge!)
    const again = await root.attach('a')
    expect(ping(again, '172.17.0.1')).toBe(true)
    expect(root.service.endpoints('a')).toEqual(again.endpoints)
  })

  test('avoids what the host uses, also when that came later', async () => {
    const name = `root-${count++}`
    {
      await using root = new Root(name)
      await (await root.attach('a')).release()
      await root.service.detach('a')
      expect(root.service.inspect('bridge').subnets[0]!.subnet).toBe('172.17.0.0/16')
      await root.service.reset()
      // As after a reboot: the record says 172.17, and something else has it by now.
      root.state.db.run(
        'UPDATE networks SET spec = json_set(spec, \'$.subnets\', json(\'[{"subnet":"172.17.0.0/16","gateway":"172.17.0.1"}]\')) WHERE name = \'bridge\'',
      )
    }
    sh('ip', 'route', 'add', '172.17.128.0/24', 'dev', 'uplink')
    try {
      await using root = new Root(name)
      // 172.18.0.5 is the host's own address.
      expect((await root.attach('b')).endpoints[0]!.addresses).toEqual(['172.19.0.2/16'])
    } finally {
      sh('ip', 'route', 'del', '172.17.128.0/24')
    }
  })

  test('says so when the pools are used up', async () => {
    await using root = newRoot({ addressPools: [{ base: '172.18.0.0/24', size: 24 }] })
    await expect(root.attach('a')).rejects.toMatchObject({
      code: 'network.subnets_exhausted',
      message: expect.stringContaining('the address 172.18.0.5/24 on uplink'),
    })
    expect(root.service.inspect('bridge').endpoints).toEqual({})
  })

  test('says so when a subnet is full, and a detached container makes room', async () => {
    await using root = newRoot({ addressPools: [{ base: '10.4.0.0/29', size: 29 }] })
    for (const id of ['a', 'b', 'c', 'd', 'e']) await root.attach(id)
    await expect(root.attach('f')).rejects.toMatchObject({ code: 'network.addresses_exhausted' })
    await root.service.detach('c')
    expect((await root.attach('f')).endpoints[0]!.addresses).toEqual(['10.4.0.4/29'])
  })
})

describe('none and host', () => {
  test('none has only loopback, records nothing, and touches nothing of the host', async () => {
    await using root = newRoot()
    const attached = await root.attach('a', 'none')
    expect(inside(attached, 'ip', '-o', 'link').trim().split('\n')).toHaveLength(1)
    expect(attached.endpoints).toEqual([])
    expect(root.service.endpoints('a')).toEqual([])
    expect(hostObjects()).toMatchObject({ links: [], rules: '', forwarding: '0' })
  })

  test('host is this machine itself', async () => {
    await using root = newRoot()
    expect(await root.attach('a', 'host')).toMatchObject({ namespace: 'host', endpoints: [] })
    expect(readFileSync(join(root.directoryOf('a'), 'hosts'), 'utf8')).toBe(readFileSync('/etc/hosts', 'utf8'))
  })

  test.each([
    [['none', 'bridge'], 'network.bad_selection'],
    [['bridge', 'bridge'], 'network.bad_selection'],
    [[], 'network.bad_selection'],
    [['nope'], 'network.not_found'],
  ])('%j is refused before anything is made', async (wanted, code) => {
    await using root = newRoot()
    await expect(root.attach('a', wanted)).rejects.toMatchObject({ code })
    expect(hostObjects().links).toEqual([])
  })
})

describe('failures', () => {
  test('leave no claim and no link', async () => {
    await using root = newRoot()
    await root.attach('a')
    await root.service.detach('a')
    const container = { id: 'x', name: 'x', hostname: 'x', directory: join(directory, 'missing') }
    await expect(root.service.attach(container, ['bridge'])).rejects.toMatchObject({ code: 'host.not_found' })
    const aborted = { ...container, directory: root.directoryOf('a') }
    const signal = AbortSignal.abort()
    await expect(root.service.attach(aborted, ['bridge'], { signal })).rejects.toMatchObject({ name: 'AbortError' })
    await expect(root.service.attach({ ...aborted, dns: ['x'] }, ['bridge'])).rejects.toMatchObject({
      code: 'network.bad_dns',
    })
    expect(root.service.inspect('bridge').endpoints).toEqual({})
  })

  test('claims of containers that no record knows are given back at open', async () => {
    await using root = newRoot()
    await root.attach('a')
    expect(await root.service.reconcile()).toMatchObject({ endpoints: [expect.any(String)], objects: [] })
    expect(root.service.endpoints('a')).toEqual([])
  })

  test('a bridge of this root that no record knows is removed, one of another root is not', async () => {
    await using root = newRoot()
    await root.attach('a')
    const alias = `tscontainer:${root.state.rootId}`
    await root.host.links.ensureBridge({ name: 'tscbrstray', alias, addresses: [], mtu: 1500 })
    await root.host.links.ensureBridge({ name: 'tscbrother', alias: 'tscontainer:other', addresses: [], mtu: 1500 })
    try {
      expect((await root.service.reconcile()).objects).toEqual(['tscbrstray'])
      expect(await root.host.links.find('tscbrother')).not.toBeNull()
    } finally {
      await root.host.links.remove('tscbrother')
    }
  })
})

describe('many', () => {
  test('two roots at once choose different subnets and do not see each other', async () => {
    const roots = [newRoot(), newRoot(), newRoot()]
    try {
      const attached = await Promise.all(roots.map((root) => root.attach('a')))
      const subnets = roots.map((root) => root.service.inspect('bridge').subnets[0]!.subnet)
      expect(new Set(subnets).size).toBe(3)
      expect(ping(attached[0]!, bare(attached[1]!.endpoints[0]!.addresses[0]))).toBe(false)
      await roots[0]![Symbol.asyncDispose]()
      roots.shift()
      expect(readFileSync('/proc/sys/net/ipv4/ip_forward', 'latin1').trim()).toBe('1')
      expect(ping(attached[1]!, subnets[1]!.replace('0.0/16', '0.1'))).toBe(true)
    } finally {
      for (const root of roots) await root[Symbol.asyncDispose]()
    }
  })

  test('what a deleted root left is taken back by others, never what a living one has', async () => {
    const pools = { addressPools: [{ base: '10.6.0.0/23', size: 24 }] }
    await using living = newRoot(pools)
    await (await living.attach('a')).release()
    await living.service.detach('a')
    const deleted = newRoot(pools)
    await (await deleted.attach('a')).release()
    deleted.state[Symbol.dispose]()
    await using third = newRoot(pools)
    await expect(third.attach('a')).rejects.toMatchObject({ code: 'network.subnets_exhausted' })
    rmSync(deleted.state.paths.root, { recursive: true })
    let attached: AttachedNetworks | null = null
    for (let i = 0; i < 300 && !attached; i++)
      // The container's link has to go first.
      attached = await third.attach('a').catch(() => sleep(10).then(() => null))
    expect(attached?.endpoints[0]?.addresses).toEqual(['10.6.1.2/24'])
    expect(await living.service.collectOrphans()).toEqual([])
    expect(new Set(hostObjects().links.filter((name) => name.startsWith('tscbr'))).size).toBe(2)
  })

  test('rules whose bridge somebody has removed go, and come back with it', async () => {
    await using root = newRoot()
    await (await root.attach('a')).release()
    const [bridge] = await root.host.firewall.listBridges()
    await root.host.links.remove(bridge!)
    expect(await root.host.firewall.listBridges()).toEqual([bridge])
    expect(await root.service.collectOrphans()).toEqual([bridge])
    expect(await root.host.firewall.listBridges()).toEqual([])
    await root.service.detach('a')
    await (await root.attach('a')).release()
    expect(await root.host.firewall.listBridges()).toEqual([bridge])
  })

  test('two processes on one root agree on the bridge and share its addresses', async () => {
    await using root = newRoot()
    using other = openState(root.state.paths.root)
    const driver = await bridgeNetwork.open(
      { directory, runDirectory: directory, host: root.host, diagnostics: () => {} },
      {},
    )
    const second = new NetworkService({
      db: other.db,
      rootId: other.rootId,
      rootFile: other.paths.rootFile,
      copy: other.paths.networksFile,
      host: root.host,
      driver: async () => driver,
      diagnostics: () => {},
      hostDirectory,
    })
    mkdirSync(root.directoryOf('b'), { recursive: true })
    const [a, b] = await Promise.all([
      root.attach('a'),
      second.attach({ id: 'b', name: 'b', hostname: 'b', directory: root.directoryOf('b') }, ['bridge']),
    ])
    expect(ping(a, bare(b.endpoints[0]!.addresses[0]))).toBe(true)
    await b.release()
    await driver[Symbol.asyncDispose]()
  })

  test('200 in a row leave nothing, and each takes a few milliseconds', async () => {
    await using root = newRoot()
    await (await root.attach('c')).release()
    await root.service.detach('c')
    const descriptors = readdirSync('/proc/self/fd').length
    const times: number[] = []
    for (let i = 0; i < 200; i++) {
      const from = performance.now()
      const attached = await root.attach('c')
      times.push(performance.now() - from)
      await attached.release()
      await root.service.detach('c')
    }
    expect(readdirSync('/proc/self/fd').length).toBe(descriptors)
    expect(times.sort((a, b) => a - b)[50]).toBeLessThan(20)
  })

  test('a process that is killed leaves no link', async () => {
    await using root = newRoot()
    const alias = 'tscontainer:killed'
    await root.host.links.ensureBridge({ name: 'tscbrkill', alias, addresses: ['10.8.0.1/24'], mtu: 1500 })
    const netns = join(import.meta.dirname, '../host/netns.ts')
    const code = `import { createNetnsSync } from ${JSON.stringify(netns)}
      createNetnsSync({ links: [{ hostName: 'tsckilled', bridge: 'tscbrkill', name: 'eth0', mac: '02:42:0a:08:00:02', mtu: 1500, addresses: ['10.8.0.2/24'], gateways: [] }] })
      process.send('up')
      setInterval(() => {}, 1000)`
    const file = join(directory, 'killed.ts')
    writeFileSync(file, code)
    writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
    const child = fork(file, { stdio: 'inherit' })
    await once(child, 'message')
    expect(await root.host.links.find('tsckilled')).not.toBeNull()
    child.kill('SIGKILL')
    await once(child, 'exit')
    for (let i = 0; i < 300 && (await root.host.links.find('tsckilled')); i++) await sleep(10)
    expect(await root.host.links.find('tsckilled')).toBeNull()
    await root.host.links.remove('tscbrkill')
  })
})
