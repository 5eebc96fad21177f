import type {
  AttachRequest,
  BridgePlan,
  BridgeRules,
  Diagnostic,
  DriverContext,
  DriverHost,
  Firewall,
  LinkInfo,
  Links,
  NetworkSpec,
} from 'tscontainer/driver-kit'
import { runtimeErrors } from 'tscontainer/driver-kit'
import { describe, expect, test } from 'vitest'
import { hostErrors } from '../../../src/errors/host-errors.ts'
import { hostNetwork } from '../host/index.ts'
import { noneNetwork } from '../none/index.ts'
import { bridgeNetwork } from './index.ts'
import { bridgeName, hostLinkName, macOf } from './names.ts'

/** Remembers what the driver asks of the host. */
class FakeHost {
  readonly bridges = new Map<string, BridgePlan>()
  readonly rules = new Map<string, BridgeRules>()
  readonly diagnostics: Diagnostic[] = []
  obstacles: readonly string[] = []
  forwarding = false
  probeError: unknown = null
  firewallError: unknown = null
  bridgeError: unknown = null

  readonly #links: Partial<Links> = {
    list: async () => [...this.bridges.values()].map((plan) => toLink(plan)),
    find: async (name) => (name === 'up0' ? toLink({ name, alias: '', addresses: [], mtu: 9000 }) : null),
    routes: async () => [
      { destination: '0.0.0.0/0', gateway: '192.0.2.1', link: 'slow', metric: 900, mtu: 500 },
      { destination: '0.0.0.0/0', gateway: '192.0.2.1', link: 'up0', metric: 100, mtu: null },
    ],
    ensureBridge: async (plan) => {
      if (this.bridgeError) throw this.bridgeError
      this.bridges.set(plan.name, plan)
      return toLink(plan)
    },
    remove: async (name) => void this.bridges.delete(name),
  }
  readonly #firewall: Partial<Firewall> = {
    probe: async () => {
      if (this.probeError) throw this.probeError
    },
    ensureBridge: async (rules) => {
      if (this.firewallError) throw this.firewallError
      this.rules.set(rules.bridge, rules)
      return { changed: false, obstacles: this.obstacles }
    },
    removeBridge: async (bridge) => void this.rules.delete(bridge),
    ensureForwarding: async () => {
      const changed = !this.forwarding
      this.forwarding = true
      return { changed }
    },
    restoreForwarding: async () => {
      this.forwarding = false
    },
  }

  get context(): DriverContext {
    const host: Partial<DriverHost> = { links: this.#links as Links, firewall: this.#firewall as Firewall }
    return {
      directory: '/nonexistent',
      runDirectory: '/nonexistent',
      host: host as DriverHost,
      diagnostics: (diagnostic) => this.diagnostics.push(diagnostic),
    }
  }
}

const toLink = (plan: BridgePlan): LinkInfo => ({
  index: 7,
  name: plan.name,
  kind: 'bridge',
  mac: plan.mac ?? '',
  mtu: plan.mtu,
  up: true,
  master: null,
  alias: plan.alias,
})

const spec = (more: Partial<NetworkSpec> = {}): NetworkSpec => ({
  id: 'abcdef0123456789'.repeat(4) as NetworkSpec['id'],
  name: 'net',
  driver: 'bridge',
  subnets: [{ subnet: '172.17.0.0/16', gateway: '172.17.0.1' }],
  internal: false,
  mtu: 0,
  options: {},
  labels: {},
  owner: 'tscontainer:root',
  ...more,
})

const request = (more: Partial<AttachRequest> = {}): AttachRequest => ({
  network: spec(),
  endpoint: 'e'.repeat(64) as AttachRequest['endpoint'],
  container: 'c'.repeat(64) as AttachRequest['container'],
  addresses: ['172.17.0.2/16'],
  mac: '02:42:ac:11:00:02',
  interfaceName: 'eth0',
  defaultRoute: true,
  ...more,
})

describe('names', () => {
  test('fit into the kernel’s 15 bytes and tell networks and endpoints apart', () => {
    expect(bridgeName(spec().id)).toBe('tscbrabcdef0123')
    const names = Array.from({ length: 500 }, (_, i) => hostLinkName(String(i) as AttachRequest['endpoint']))
    expect(new Set(names).size).toBe(500)
    expect(names.filter((name) => !/^tsc[a-z2-7]{12}$/.test(name))).toEqual([])
    expect(macOf('172.17.0.1')).toBe('02:42:ac:11:00:01')
  })
})

describe('bridge', () => {
  test('describes the link, with the MTU of the best default route', async () => {
    const fake = new FakeHost()
    await using driver = await bridgeNetwork.open(fake.context, {})
    const { link, namespace } = await driver.attach(request())
    expect(namespace).toBe('private')
    expect(link).toMatchObject({
      bridge: 'tscbrabcdef0123',
      name: 'eth0',
      mtu: 9000,
      gateways: ['172.17.0.1'],
      alias: 'tscontainer:root',
    })
    expect([...fake.bridges.values()]).toMatchObject([
      { addresses: ['172.17.0.1/16'], mac: '02:42:ac:11:00:01', mtu: 9000 },
    ])
    expect(fake.diagnostics).toEqual([
      expect.objectContaining({ level: 'warning', message: expect.stringContaining('ip_forward') }),
    ])
    await driver.detach(spec(), request().endpoint)
  })

  test('no route out of an internal network, or of a second one', async () => {
    const fake = new FakeHost()
    await using driver = await bridgeNetwork.open(fake.context, {})
    const internal = spec({ internal: true, mtu: 1300 })
    expect((await driver.attach(request({ network: internal }))).link).toMatchObject({ gateways: [], mtu: 1300 })
    expect(fake.forwarding).toBe(false)
    expect((await driver.attach(request({ defaultRoute: false }))).link?.gateways).toEqual([])
  })

  test('an obstacle is reported once', async () => {
    const fake = new FakeHost()
    fake.forwarding = true
    fake.obstacles = ['inet owned gate: EPERM']
    await using driver = await bridgeNetwork.open(fake.context, {})
    await driver.create(spec())
    await driver.attach(request())
    expect(fake.diagnostics).toHaveLength(1)
    expect(fake.diagnostics[0]!.message).toContain('inet owned gate')
  })

  test.each(['firewallError', 'bridgeError'] as const)('with a %s nothing is left behind', async (failing) => {
    const fake = new FakeHost()
    fake[failing] = hostErrors.error('unsupported', { message: 'not on this kernel' })
    await using driver = await bridgeNetwork.open(fake.context, {})
    await expect(driver.create(spec())).rejects.toBe(fake[failing])
    expect([...fake.bridges, ...fake.rules]).toEqual([])
    expect(fake.forwarding).toBe(false)
  })

  test('delete takes everything back; forwarding only with the last bridge of all roots', async () => {
    const fake = new FakeHost()
    await using driver = await bridgeNetwork.open(fake.context, {})
    await driver.create(spec())
    fake.bridges.set('other', { name: 'other', alias: 'tscontainer:another-root', addresses: [], mtu: 1500 })
    await driver.delete(spec())
    await driver.delete(spec())
    expect([...fake.bridges.keys(), ...fake.rules.keys()]).toEqual(['other'])
    expect(fake.forwarding).toBe(true)
    fake.bridges.clear()
    await driver.delete(spec())
    expect(fake.forwarding).toBe(false)
  })

  test.each([
    [{ subnets: [] }, 'bridge.bad_subnet', 'no subnet'],
    [{ subnets: [{ subnet: 'fd00::/64', gateway: 'fd00::1' }] }, 'bridge.bad_subnet', 'fd00::/64'],
    [{ options: { colour: 'red' } }, 'call.unknown_option', 'colour'],
  ])('%j is refused and nothing is made', async (more, code, named) => {
    const fake = new FakeHost()
    await using driver = await bridgeNetwork.open(fake.context, {})
    await expect(driver.create(spec(more))).rejects.toMatchObject({ code, message: expect.stringContaining(named) })
    expect([...fake.bridges, ...fake.rules]).toEqual([])
  })

  test('the probe names what is missing', async () => {
    const fake = new FakeHost()
    expect(await bridgeNetwork.probe(fake.context, {})).toMatchObject({ usable: true })
    fake.probeError = hostErrors.error('unsupported', { message: 'no nf_tables' })
    expect(await bridgeNetwork.probe(fake.context, {})).toMatchObject({
      usable: false,
      missing: [{ what: 'kernel nf_tables' }],
    })
    fake.probeError = hostErrors.error('denied', { message: 'not root' })
    expect(await bridgeNetwork.probe(fake.context, {})).toMatchObject({
      missing: [{ what: 'capability CAP_NET_ADMIN' }],
    })
    fake.probeError = runtimeErrors.error('start_failed', { message: 'something else' })
    await expect(bridgeNetwork.probe(fake.context, {})).rejects.toBe(fake.probeError)
  })
})

describe('none and host', () => {
  test.each([
    [noneNetwork, 'private'],
    [hostNetwork, 'host'],
  ] as const)('need nothing and give no link', async (definition, namespace) => {
    const fake = new FakeHost()
    expect(await definition.probe(fake.context, {})).toMatchObject({ usable: true })
    await using driver = await definition.open(fake.context, {})
    expect(driver.addressing).toBe('none')
    expect(await driver.attach(request())).toMatchObject({ namespace, link: null })
  })

  test.each([bridgeNetwork, noneNetwork, hostNetwork])('options are refused by name', (definition) => {
    expect(() => definition.parseOptions({ colour: 'red' })).toThrow('colour')
    expect(definition.parseOptions(undefined)).toEqual({})
  })
})
