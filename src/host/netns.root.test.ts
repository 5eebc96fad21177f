import { execFileSync } from 'node:child_process'
import { closeSync, fstatSync, readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createLinks } from './links-rtnetlink.ts'
import { createNetnsSync } from './netns.ts'
import type { VethPlan } from './netns-plan.ts'
import { CLONE, unshare } from './syscall/namespace.ts'

const links = createLinks()
const bridge = 'tsctest'
const open: number[] = []

/** Made and closed at the end of the test. */
function make(plan: Parameters<typeof createNetnsSync>[0]): number {
  const fd = createNetnsSync(plan)
  open.push(fd)
  return fd
}

const inside = (fd: number, ...command: string[]) =>
  execFileSync('nsenter', [`--net=/proc/${process.pid}/fd/${fd}`, ...command], { encoding: 'utf8' })

const veth = (number: number, more: Partial<VethPlan> = {}): VethPlan => ({
  hostName: `tsct${number}`,
  bridge,
  name: 'eth0',
  mac: `02:42:0a:00:00:${number.toString(16).padStart(2, '0')}`,
  mtu: 1400,
  addresses: [`10.0.0.${number}/24`],
  gateways: ['10.0.0.1'],
  alias: 'tscontainer:test',
  ...more,
})

const ownNamespace = () => readlinkSync('/proc/thread-self/ns/net')
const descriptors = () => readdirSync('/proc/self/fd').length

/** Links go some milliseconds after their namespace. */
async function hostLinks(wanted: number): Promise<string[]> {
  for (let i = 0; ; i++) {
    const names = (await links.list()).map((link) => link.name).filter((name) => /^tsct\d/.test(name))
    if (names.length === wanted || i === 1000) return names
    await sleep(10)
  }
}

// The tests play the host in a namespace of their own.
beforeAll(async () => {
  unshare(CLONE.NEWNET)
  await links.ensureBridge({ name: bridge, alias: 'tscontainer:test', addresses: ['10.0.0.1/24'], mtu: 1400 })
})

afterEach(async () => {
  for (const fd of open.splice(0)) closeSync(fd)
  expect(await hostLinks(0)).toEqual([])
})

describe('createNetnsSync', () => {
  test('with no link holds loopback only, and it is up', () => {
    const before = ownNamespace()
    const fd = make({ links: [] })
    expect(ownNamespace()).toBe(before)
    expect(fstatSync(fd).ino).not.toBe(Number(/\d+/.exec(before)![0]))
    expect(inside(fd, 'ip', '-o', 'link').trim().split('\n')).toHaveLength(1)
    expect(inside(fd, 'ip', '-o', '-4', 'addr')).toContain('127.0.0.1/8')
  })

  test('gives link, address, MAC, MTU, default route, and its peer a mark', async () => {
    const fd = make({ links: [veth(2)] })
    const shown = inside(fd, 'ip', '-o', 'addr', 'show', 'eth0')
    expect(shown).toContain('inet 10.0.0.2/24 brd 10.0.0.255')
    expect(shown).not.toContain('inet6')
    expect(inside(fd, 'ip', '-o', 'link', 'show', 'eth0')).toMatch(/UP.*mtu 1400.*02:42:0a:00:00:02/)
    expect(inside(fd, 'ip', 'route')).toContain('default via 10.0.0.1 dev eth0')
    const master = await links.find(bridge)
    expect(await links.find('tsct2')).toMatchObject({
      kind: 'veth',
      up: true,
      mtu: 1400,
      master: master!.index,
      alias: 'tscontainer:test',
    })
  })

  test('namespaces reach one another and the host, isolated ones only the host', () => {
    const ping = (fd: number, address: string) => {
      try {
        return inside(fd, 'timeout', '0.5', 'busybox', 'ping', '-c1', address).includes('1 packets received')
      } catch {
        return false
      }
    }
    const [a] = [make({ links: [veth(2)] }), make({ links: [veth(3)] })]
    expect(ping(a, '10.0.0.3')).toBe(true)
    expect(ping(a, '10.0.0.1')).toBe(true)
    const lonely = make({ links: [veth(4, { isolated: true })] })
    make({ links: [veth(5, { isolated: true })] })
    expect(ping(lonely, '10.0.0.1')).toBe(true)
    expect(ping(lonely, '10.0.0.5')).toBe(false)
  })

  test('IPv6 works at once, without waiting for duplicate address detection', () => {
    const plan = veth(2, { addresses: ['10.0.0.2/24', 'fd00:7::2/64'], gateways: ['10.0.0.1', 'fd00:7::1'] })
    const fd = make({ links: [plan] })
    expect(inside(fd, 'ip', '-o', '-6', 'addr', 'show', 'eth0')).toMatch(/fd00:7::2\/64 scope global (?!tentative)/)
    expect(inside(fd, 'ip', '-6', 'route')).toContain('default via fd00:7::1 dev eth0')
  })

  test('several links and settings', () => {
    const second = veth(3, { name: 'eth1', gateways: [] })
    const fd = make({ links: [veth(2), second], sysctls: { 'ipv4/ip_unprivileged_port_start': '0' } })
    expect(inside(fd, 'ip', '-o', 'link').trim().split('\n')).toHaveLength(3)
    expect(inside(fd, 'cat', '/proc/sys/net/ipv4/ip_unprivileged_port_start').trim()).toBe('0')
  })

  test.each([
    ['a missing bridge', [veth(2, { bridge: 'no-bridge' })], 'host.not_found', 'no-bridge'],
    ['a bridge that is none', [veth(2, { bridge: 'lo' })], 'host.unsupported', 'tsct2'],
    ['a name that is taken', [veth(2), veth(2, { name: 'eth1' })], 'host.exists', 'tsct2'],
    ['two links of one name', [veth(2), veth(3)], 'host.exists', 'tsct3'],
    ['a name that is too long', [veth(2, { hostName: 'a'.repeat(16) })], 'host.invalid', 'aaaaaaaaaaaaaaaa'],
    ['a bad address', [veth(2, { addresses: ['10.0.0.2'] })], 'host.invalid', '10.0.0.2'],
    ['an unreachable gateway', [veth(2, { gateways: ['192.0.2.1'] })], 'host.syscall_failed', '192.0.2.1'],
    ['a bad MAC', [veth(2, { mac: 'ff' })], 'host.invalid', '"ff"'],
    ['a multicast MAC', [veth(2, { mac: '01:00:00:00:00:01' })], 'host.syscall_failed', 'tsct2'],
    ['an impossible MTU', [veth(2, { mtu: 10 })], 'host.invalid', 'tsct2'],
  ])('%s fails with a typed error and leaves nothing', async (_what, plan, code, named) => {
    const before = { namespace: ownNamespace(), descriptors: descriptors() }
    expect(() => createNetnsSync({ links: plan })).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(named) }),
    )
    expect({ namespace: ownNamespace(), descriptors: descriptors() }).toEqual(before)
    expect(await hostLinks(0)).toEqual([])
  })

  test.each([
    ['../../kernel/hostname', 'host.invalid'],
    ['ipv4//x', 'host.invalid'],
    ['ipv4/no_such_setting', 'host.not_found'],
  ])('the setting %s is refused', (name, code) => {
    const before = ownNamespace()
    expect(() => createNetnsSync({ links: [], sysctls: { [name]: '1' } })).toThrow(expect.objectContaining({ code }))
    expect(ownNamespace()).toBe(before)
  })

  test('200 back to back leave no descriptor, link or namespace, and are fast', async () => {
    const before = { namespace: ownNamespace(), descriptors: descriptors() }
    const times: number[] = []
    for (let i = 0; i < 200; i++) {
      const from = performance.now()
      const fd = createNetnsSync({ links: [veth(10 + i)] })
      times.push(performance.now() - from)
      closeSync(fd)
      if (i % 50 === 49) await hostLinks(0)
    }
    expect({ namespace: ownNamespace(), descriptors: descriptors() }).toEqual(before)
    expect(await hostLinks(0)).toEqual([])
    // 1.5 ms where nothing else runs; a move between namespaces (21 ms) or a grace period would show.
    expect(times.sort((a, b) => a - b)[50]).toBeLessThan(12)
  })
})

test('without capabilities every part says permission_denied', () => {
  const code = `
    import { createNetnsSync } from '${import.meta.dirname}/netns.ts'
    import { createLinks } from '${import.meta.dirname}/links-rtnetlink.ts'
    import { createFirewall } from '${import.meta.dirname}/firewall-nftables.ts'
    const plan = { name: 'tsctbr9', alias: 'x', addresses: [], mtu: 1500 }
    const tries = [() => createNetnsSync({ links: [] }), () => createLinks().ensureBridge(plan), () => createFirewall().probe()]
    const kinds = []
    for (const attempt of tries) try { await attempt(); kinds.push('done') } catch (error) { kinds.push(error.kind) }
    console.log(kinds.join())`
  const bare = ['--bounding-set=-all', '--inh-caps=-all', process.execPath, '--input-type=module', '-e', code]
  expect(execFileSync('setpriv', bare, { encoding: 'utf8' }).trim()).toBe(Array(3).fill('permission_denied').join())
})

describe('links', () => {
  test('bridges: made once, completed when something is missing, foreign ones left alone', async () => {
    const plan = {
      name: 'tsctbr1',
      alias: 'tscontainer:a',
      addresses: ['10.9.0.1/24'],
      mtu: 1300,
      mac: '02:42:0a:09:00:01',
    }
    const made = await links.ensureBridge(plan)
    expect(made).toMatchObject({ kind: 'bridge', alias: 'tscontainer:a', mtu: 1300, mac: plan.mac, up: true })
    expect(await links.ensureBridge(plan)).toEqual(made)
    execFileSync('ip', ['addr', 'flush', 'dev', plan.name])
    execFileSync('ip', ['link', 'set', plan.name, 'down', 'mtu', '1500'])
    expect(await links.ensureBridge(plan)).toMatchObject({ index: made.index, up: true, mtu: 1300 })
    expect(await links.addresses(plan.name)).toContainEqual({ link: plan.name, address: '10.9.0.1/24' })
    await expect(links.ensureBridge({ ...plan, alias: 'tscontainer:b' })).rejects.toMatchObject({ code: 'host.exists' })
    execFileSync('ip', ['link', 'add', 'tsctbr2', 'type', 'veth', 'peer', 'tsctbr2p'])
    await expect(links.ensureBridge({ ...plan, name: 'tsctbr2' })).rejects.toThrow('veth')
    await links.remove('tsctbr2')
    await links.remove(plan.name)
    await links.remove(plan.name)
    expect(await links.find(plan.name)).toBeNull()
  })

  test('removing a bridge does not stop the event loop', async () => {
    await links.ensureBridge({ name: 'tsctbr4', alias: 'tscontainer:a', addresses: [], mtu: 1500 })
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    const from = performance.now()
    await links.remove('tsctbr4')
    const took = performance.now() - from
    clearInterval(timer)
    expect(await links.find('tsctbr4')).toBeNull()
    // The kernel waits for a grace period or two; timers of ours go on meanwhile.
    if (took > 10) expect(turns).toBeGreaterThan(1)
  })

  test('routes are those of the peer', async () => {
    execFileSync('ip', ['route', 'add', 'default', 'via', '10.0.0.77', 'dev', bridge, 'metric', '42', 'mtu', '1234'])
    try {
      const routes = await links.routes()
      expect(routes).toContainEqual({
        destination: '0.0.0.0/0',
        gateway: '10.0.0.77',
        link: bridge,
        metric: 42,
        mtu: 1234,
      })
      expect(routes).toContainEqual(
        expect.objectContaining({ destination: '10.0.0.0/24', gateway: null, link: bridge }),
      )
    } finally {
      execFileSync('ip', ['route', 'del', 'default'])
    }
  })

  test('an aborted call does nothing', async () => {
    const signal = AbortSignal.abort()
    const plan = { name: 'tsctbr3', alias: 'x', addresses: [], mtu: 1500 }
    await expect(links.ensureBridge(plan, { signal })).rejects.toMatchObject({ name: 'AbortError' })
    expect(await links.find('tsctbr3')).toBeNull()
  })
})
