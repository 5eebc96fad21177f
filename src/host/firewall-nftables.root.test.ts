import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { BridgeRules } from './firewall.ts'
import { createFirewall } from './firewall-nftables.ts'
import { createLinks } from './links-rtnetlink.ts'
import { MessageWriter } from './netlink/message-writer.ts'
import { NetlinkSocket } from './netlink/netlink-socket.ts'
import { addTable, beginBatch, endBatch, getGeneration } from './netlink/nft-messages.ts'
import { readGeneration } from './netlink/nft-reading.ts'
import { createNetnsSync } from './netns.ts'
import { CLONE, unshare } from './syscall/namespace.ts'
import { NETLINK } from './syscall/socket.ts'

const directory = mkdtempSync(join(tmpdir(), 'tsc-firewall-'))
const firewall = createFirewall({ hostDirectory: directory })
const links = createLinks()

const sh = (file: string, ...args: string[]) => execFileSync(file, args, { encoding: 'utf8', stdio: 'pipe' })
const ruleset = () => sh('nft', 'list', 'ruleset')
const rules = (bridge: string, more: Partial<BridgeRules> = {}): BridgeRules => ({
  bridge,
  subnets: ['10.1.0.0/24'],
  internal: false,
  ...more,
})

const namespaces: Record<string, number> = {}
const servers: ChildProcess[] = []

function place(bridge: string, number: number, subnet: string, gateway = true): number {
  return createNetnsSync({
    links: [
      {
        hostName: `tscf${bridge}${number}`,
        bridge,
        name: 'eth0',
        mac: `02:42:00:00:0${subnet.length}:0${number}`,
        mtu: 1500,
        addresses: [`${subnet}.${number}/24`],
        gateways: gateway ? [`${subnet}.1`] : [],
      },
    ],
  })
}

const enter = (name: string) => `--net=/proc/${process.pid}/fd/${namespaces[name]}`

/** Answers every connection with the address it came from. */
async function serve(name: string): Promise<void> {
  const code =
    "require('net').createServer((s) => s.end(s.remoteAddress)).listen(80, '0.0.0.0', () => console.log('up'))"
  const server = spawn('nsenter', [enter(name), process.execPath, '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  servers.push(server)
  await once(server.stdout!, 'data')
}

/** What the server says to somebody in the namespace; null when nobody answers. */
function ask(name: string, address: string): string | null {
  try {
    return sh('nsenter', enter(name), 'timeout', '0.4', 'busybox', 'nc', address, '80')
  } catch {
    return null
  }
}

// The tests play the host in a namespace of their own: `world` is beyond it and knows no way back to 10.1.0.0/24.
beforeAll(async () => {
  unshare(CLONE.NEWNET)
  sh('ip', 'link', 'set', 'lo', 'up')
  for (const [name, address] of [
    ['in', '10.1.0.1/24'],
    ['in2', '10.2.0.1/24'],
    ['out', '192.0.2.1/24'],
  ] as const)
    await links.ensureBridge({ name, alias: 'tscontainer:test', addresses: [address], mtu: 1500 })
  namespaces['a'] = place('in', 2, '10.1.0')
  namespaces['b'] = place('in', 3, '10.1.0')
  namespaces['other'] = place('in2', 2, '10.2.0')
  namespaces['world'] = place('out', 9, '192.0.2', false)
  // A neighbour that knows the way in.
  namespaces['neighbour'] = place('out', 8, '192.0.2')
  for (const name of ['a', 'b', 'other', 'world']) await serve(name)
})

afterEach(() => {
  sh('nft', 'flush', 'ruleset')
})

afterAll(async () => {
  for (const server of servers) server.kill('SIGKILL')
  for (const fd of Object.values(namespaces)) closeSync(fd)
  rmSync(directory, { recursive: true, force: true })
})

describe('forwarding', () => {
  test('is set once, remembered, and put back', async () => {
    const now = () => readFileSync('/proc/sys/net/ipv4/ip_forward', 'latin1').trim()
    // A new namespace starts with the value of the host's.
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '0')
    expect(await firewall.ensureForwarding()).toEqual({ changed: true })
    expect(now()).toBe('1')
    expect(await firewall.ensureForwarding()).toEqual({ changed: false })
    // Another process puts back what this one found.
    await createFirewall({ hostDirectory: directory }).restoreForwarding()
    expect(now()).toBe('0')
    expect(existsSync(join(directory, 'ip_forward'))).toBe(false)
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
    await firewall.restoreForwarding()
    expect(now()).toBe('1')
  })
})

describe('packets', () => {
  test('containers leave under the address of the host, and answers come back', async () => {
    await firewall.ensureBridge(rules('in'))
    expect(ask('a', '192.0.2.9')).toBe('192.0.2.1')
  })

  test('containers of one bridge see one another as they are', async () => {
    await firewall.ensureBridge(rules('in'))
    expect(ask('a', '10.1.0.3')).toBe('10.1.0.2')
  })

  test('nobody comes in from outside or from another network', async () => {
    expect(ask('neighbour', '10.1.0.2')).toBe('192.0.2.8')
    await firewall.ensureBridge(rules('in'))
    await firewall.ensureBridge(rules('in2', { subnets: ['10.2.0.0/24'] }))
    expect(ask('neighbour', '10.1.0.2')).toBeNull()
    expect(ask('a', '10.2.0.2')).toBeNull()
    expect(ask('other', '10.1.0.2')).toBeNull()
  })

  test('internal: nothing in, nothing out, the neighbours on the bridge yes', async () => {
    await firewall.ensureBridge(rules('in', { internal: true }))
    expect(ask('a', '192.0.2.8')).toBeNull()
    expect(ask('neighbour', '10.1.0.2')).toBeNull()
    expect(ask('a', '10.1.0.3')).toBe('10.1.0.2')
  })

  test.each([
    ['iptables', () => sh('iptables', '-P', 'FORWARD', 'DROP')],
    [
      'nftables',
      () => {
        sh('nft', 'add', 'table', 'inet', 'fw')
        sh('nft', 'add', 'chain', 'inet', 'fw', 'gate', '{ type filter hook forward priority 0; policy drop; }')
      },
    ],
    [
      'Docker',
      () => {
        sh('iptables', '-N', 'DOCKER-USER')
        sh('iptables', '-A', 'DOCKER-USER', '-j', 'RETURN')
        sh('iptables', '-A', 'FORWARD', '-j', 'DOCKER-USER')
        sh('iptables', '-P', 'FORWARD', 'DROP')
      },
    ],
  ])('a host that drops by policy (%s) lets containers out, and is left as it was', async (_what, drop) => {
    await firewall.ensureBridge(rules('in'))
    drop()
    const before = ruleset()
    expect(ask('a', '192.0.2.9')).toBeNull()
    expect(await firewall.ensureBridge(rules('in'))).toEqual({ changed: true, obstacles: [] })
    expect(await firewall.ensureBridge(rules('in'))).toEqual({ changed: false, obstacles: [] })
    expect(ask('a', '192.0.2.9')).toBe('192.0.2.1')
    expect(ask('neighbour', '10.1.0.2')).toBeNull()
    expect(ruleset()).toContain('comment "tscontainer:in"')
    await firewall.removeBridge('in')
    expect(withoutCounts(ruleset())).toBe(
      withoutCounts(before.replace(/table inet tscontainer-in \{\n(.*\n)*?\}\n/, '')),
    )
  })
})

const withoutCounts = (text: string) => text.replace(/counter packets \d+ bytes \d+/g, 'counter').trim()

describe('tables', () => {
  test('probing leaves nothing', async () => {
    await firewall.probe()
    expect(ruleset().trim()).toBe('')
  })

  test('are made once, repaired after a flush, replaced when the subnets change', async () => {
    const count = () => ruleset().split('masquerade comment').length - 1
    expect(await firewall.ensureBridge(rules('in'))).toMatchObject({ changed: true })
    expect(await firewall.ensureBridge(rules('in'))).toMatchObject({ changed: false })
    sh('nft', 'flush', 'ruleset')
    expect(await firewall.ensureBridge(rules('in'))).toMatchObject({ changed: true })
    sh('nft', 'flush', 'table', 'inet', 'tscontainer-in')
    expect(await firewall.ensureBridge(rules('in'))).toMatchObject({ changed: true })
    expect(count()).toBe(1)
    expect(await firewall.ensureBridge(rules('in', { subnets: ['10.1.0.0/24', 'fd00::/64'] }))).toMatchObject({
      changed: true,
    })
    expect(count()).toBe(2)
  })

  test('a second process finds them right, and unrelated changes do no harm', async () => {
    await firewall.ensureBridge(rules('in'))
    sh('nft', 'add', 'table', 'ip', 'unrelated')
    expect(await createFirewall({ hostDirectory: directory }).ensureBridge(rules('in'))).toMatchObject({
      changed: false,
    })
    expect(await firewall.ensureBridge(rules('in'))).toMatchObject({ changed: false })
  })

  test('of several bridges stand apart', async () => {
    await firewall.ensureBridge(rules('in'))
    await firewall.ensureBridge(rules('in2', { internal: true }))
    expect([...(await firewall.listBridges())].sort()).toEqual(['in', 'in2'])
    await firewall.removeBridge('in')
    await firewall.removeBridge('in')
    expect(await firewall.listBridges()).toEqual(['in2'])
  })

  test('accepts keep their tag through iptables-save and -restore, and iptables can list them', async () => {
    sh('iptables', '-P', 'FORWARD', 'DROP')
    await firewall.ensureBridge(rules('in'))
    expect(sh('iptables', '-S', 'FORWARD')).toMatch(/-A FORWARD -i in .*--comment "?tscontainer:in"? -j ACCEPT/)
    execFileSync('iptables-restore', { input: sh('iptables-save') })
    expect(await firewall.ensureBridge(rules('in'))).toMatchObject({ changed: false })
    expect(sh('iptables', '-S', 'FORWARD').match(/tscontainer:in/g)).not.toBeNull()
    await firewall.removeBridge('in')
    expect(sh('iptables', '-S', 'FORWARD').trim()).toBe('-P FORWARD DROP')
  })

  test('a chain of a program that owns its table is reported, our own table stands', async () => {
    const owner = spawn('nft', ['-i'], { stdio: ['pipe', 'pipe', 'inherit'] })
    try {
      owner.stdin!.write(
        'add table inet owned { flags owner; }\nadd chain inet owned gate { type filter hook forward priority 0; policy drop; }\nlist tables\n',
      )
      await once(owner.stdout!, 'data')
      for (let i = 0; i < 100 && !ruleset().includes('policy drop'); i++) await new Promise((r) => setTimeout(r, 10))
      const report = await firewall.ensureBridge(rules('in'))
      expect(report.obstacles).toEqual([expect.stringMatching(/^inet owned gate: .*EPERM/)])
      expect(await firewall.listBridges()).toEqual(['in'])
    } finally {
      owner.kill('SIGKILL')
      await once(owner, 'exit')
    }
  })

  test('a batch that was made from an old look at the rules is refused by the kernel', async () => {
    using socket = new NetlinkSocket(NETLINK.NETFILTER)
    sh('nft', 'add', 'table', 'ip', 'unrelated')
    const generation = readGeneration(socket.query(() => getGeneration(new MessageWriter())))
    const batch = (seen: number) => endBatch(addTable(beginBatch(new MessageWriter(), seen), 2, 'tardy'))
    await expect(socket.transact(batch(generation - 1))).rejects.toThrow('ERESTART')
    expect(ruleset()).not.toContain('tardy')
    await socket.transact(batch(generation))
    expect(ruleset()).toContain('tardy')
  })

  test('two processes that make the same rules at once both succeed, and no rule is there twice', async () => {
    const firewalls = Array.from({ length: 8 }, () => createFirewall({ hostDirectory: directory }))
    sh('iptables', '-P', 'FORWARD', 'DROP')
    await Promise.all(firewalls.map((one) => one.ensureBridge(rules('in'))))
    expect(ruleset().match(/comment "tscontainer:in"/g)).toHaveLength(2)
    expect(ruleset().match(/masquerade comment/g)).toHaveLength(1)
  })
})
