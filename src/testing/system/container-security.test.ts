import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContainerSpec, Engine, Security } from '../../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'

let fixture: BusyboxRoot
let engine: Engine
beforeAll(async () => {
  fixture = await busyboxRoot()
  engine = await fixture.open()
})
afterAll(async () => {
  await engine[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

/** Runs a line in a container and gives what it says on both streams. */
async function say(line: string, more: Partial<ContainerSpec> = {}): Promise<string> {
  const command = ['sh', '-c', line]
  await using container = await engine.containers.run({ image: imageName, networks: 'none', command, ...more })
  await container.wait()
  const said = await Array.fromAsync(container.logs())
  return said.map(({ text }) => `${text}\n`).join('')
}

const create = (more: Partial<ContainerSpec>) =>
  engine.containers.create({ image: imageName, networks: 'none', ...more })

const bounding = async (security: Security) =>
  BigInt(`0x${(await say("sed -n 's/^CapBnd:.//p' /proc/self/status", { security })).trim()}`)
const bit = (number: number) => 1n << BigInt(number)

describe('capabilities', () => {
  test('as asked for, seen by the kernel', async () => {
    const usual = await bounding({})
    expect(usual).toBe(0xa80425fbn)
    expect(await bounding({ capDrop: ['ALL'] })).toBe(0n)
    expect(await bounding({ capDrop: ['ALL'], capAdd: ['NET_BIND_SERVICE'] })).toBe(bit(10))
    expect(await bounding({ capAdd: ['SYS_TIME'], capDrop: ['CHOWN'] })).toBe((usual | bit(25)) & ~bit(0))
  })

  test('the filter of system calls follows them', async () => {
    const mount = 'mkdir -p /m && mount -t tmpfs none /m && echo mounted'
    expect(await say(mount)).toContain('denied')
    expect(await say(mount, { security: { capAdd: ['SYS_ADMIN'] } })).toBe('mounted\n')
    // Two of one kind after the other: the filters are kept apart.
    expect(await say(mount)).toContain('denied')
  })

  test('exec has those of the container', async () => {
    await using container = await engine.containers.run({
      image: imageName,
      networks: 'none',
      command: ['sleep', '100'],
      stopTimeout: 0,
      security: { capDrop: ['ALL'], noNewPrivileges: true },
    })
    const { stdout } = await container.exec([
      'sh',
      '-c',
      "sed -n 's/^CapEff:.//p; s/^NoNewPrivs:.//p' /proc/self/status",
    ])
    expect(stdout.toString()).toBe('0000000000000000\n1\n')
  })

  test('what this process has not, and what there is not', async () => {
    const status = await say("sed -n 's/^CapBnd:.//p' /proc/self/status", { security: { capAdd: ['ALL'] } })
    const own = /^CapEff:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]
    expect(status.trim()).toBe(own)
    await expect(create({ security: { capAdd: ['NO_SUCH'] } })).rejects.toMatchObject({
      code: 'runtime.bad_capability',
    })
  })
})

test('system calls: filtered, or not', async () => {
  const seccomp = "sed -n 's/^Seccomp:.//p' /proc/self/status"
  expect(await say(seccomp)).toBe('2\n')
  expect(await say(seccomp, { security: { seccomp: 'unconfined' } })).toBe('0\n')
})

test('no new privileges', async () => {
  const line = "sed -n 's/^NoNewPrivs:.//p' /proc/self/status"
  expect(await say(line)).toBe('0\n')
  expect(await say(line, { security: { noNewPrivileges: true } })).toBe('1\n')
})

test('paths that are hidden or read-only', async () => {
  const keys = 'wc -c < /proc/keys; test -w /proc/sys/kernel/domainname && touch /proc/sysrq-trigger && echo writable'
  expect(await say(keys)).toMatch(/^0\n/)
  expect(await say('cat /proc/interrupts | wc -l', { security: { unmask: ['/proc/interrupts'] } })).not.toBe('0\n')
  expect(await say('cat /proc/interrupts | wc -l')).toBe('0\n')
  expect(await say('cat /etc/passwd; ls /root', { security: { mask: ['/etc/passwd'] } })).toBe('')
  const write = 'echo 1 > /proc/sys/net/ipv4/conf/lo/log_martians && echo written'
  expect(await say(write)).toContain('Read-only')
  expect(await say(write, { security: { unmask: 'all' } })).toBe('written\n')
})

describe('devices', () => {
  test('one, by another name, with less than all rights', async () => {
    const line = 'ls /dev/fuse*; : < /dev/fuse2 && echo read; : > /dev/fuse2 && echo written'
    const said = await say(line, { devices: [{ source: '/dev/fuse', target: '/dev/fuse2', access: 'r' }] })
    expect(said).toMatch(/^\/dev\/fuse2\nread\n/)
    expect(said).toContain('not permitted')
    expect(await say(line, { devices: ['/dev/fuse:/dev/fuse2'] })).toBe('/dev/fuse2\nread\nwritten\n')
    expect(await say('ls /dev/net; : < /dev/net/tun && echo read', { devices: ['/dev/net'] })).toBe('tun\nread\n')
  })

  test('without its rule it cannot be used, with one it can', async () => {
    const line = 'mknod /tmp/loop-control c 10 237 && : < /tmp/loop-control && echo opened'
    expect(await say(line)).toContain('not permitted')
    expect(await say(line, { deviceRules: ['c 10:237 rwm'] })).toBe('opened\n')
    expect(await say(line, { deviceRules: ['c 10:* r'] })).toContain('opened')
  })

  test('wrong ones', async () => {
    await expect(create({ devices: ['/dev/no-such'] })).rejects.toMatchObject({ code: 'runtime.device_missing' })
    await expect(create({ devices: ['/etc/passwd'] })).rejects.toMatchObject({ code: 'runtime.bad_device' })
    await expect(create({ devices: ['dev/fuse'] })).rejects.toMatchObject({ code: 'runtime.bad_device' })
    await expect(create({ devices: ['/dev/fuse:/dev/x:rwx'] })).rejects.toMatchObject({ code: 'runtime.bad_device' })
    await expect(create({ deviceRules: ['x 1:3 r'] })).rejects.toMatchObject({ code: 'runtime.bad_device' })
  })
})

test('privileged: the devices, rights and settings of the machine', async () => {
  const security = { privileged: true }
  const status = (await say("sed -n 's/^CapEff:.//p; s/^Seccomp:.//p' /proc/self/status", { security })).split('\n')
  expect(status[0]).toBe(/^CapEff:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1])
  expect(status[1]).toBe('0')
  expect(await say('ls /dev/loop-control; : < /dev/loop-control && echo opened', { security })).toBe(
    '/dev/loop-control\nopened\n',
  )
  expect(
    await say('grep -c " /sys sysfs rw" /proc/mounts; test $(wc -l < /proc/interrupts) -gt 0 && echo shown', {
      security,
    }),
  ).toBe('1\nshown\n')
  expect(await say('mkdir /m && mount -t tmpfs none /m && echo mounted', { security })).toBe('mounted\n')
  await expect(create({ security: { privileged: true, capDrop: ['CHOWN'] } })).rejects.toMatchObject({
    code: 'runtime.bad_security',
  })
})

test('groups besides those of the user', async () => {
  expect(await say('id -G', { user: '1234:5', groups: ['nogroup', 77, '78'] })).toBe('5 77 78 65534\n')
  await using container = await create({ groups: ['nobody-has-this'] })
  await expect(container.start()).rejects.toMatchObject({ code: 'runtime.bad_user' })
})

test('settings of the kernel for one container', async () => {
  const sysctls = { 'net.ipv4.ip_unprivileged_port_start': '80', 'kernel.msgmax': '10000', 'fs.mqueue.msg_max': '20' }
  const line = `cat ${Object.keys(sysctls)
    .map((name) => `/proc/sys/${name.replaceAll('.', '/')}`)
    .join(' ')}`
  expect(await say(line, { sysctls })).toBe('80\n10000\n20\n')
  expect(await say('cat /proc/sys/kernel/domainname', { domainname: 'example.org' })).toBe('example.org\n')
  await expect(create({ sysctls: { 'vm.swappiness': '1' } })).rejects.toMatchObject({ code: 'runtime.bad_sysctl' })
  await expect(create({ networks: 'host', sysctls })).rejects.toMatchObject({ code: 'runtime.bad_sysctl' })
})

test('the score of a container when memory runs out', async () => {
  const line = 'cat /proc/self/oom_score_adj'
  expect(await say(line, { oomScoreAdj: 777 })).toBe('777\n')
  await expect(create({ oomScoreAdj: 1001 })).rejects.toMatchObject({ code: 'container.bad_spec' })
})

test('inspect tells them; a record of before has none', async () => {
  await using container = await create({
    security: { capAdd: ['net_admin'], unmask: 'all' },
    groups: [7],
    domainname: 'x',
    oomScoreAdj: 5,
    sysctls: { 'kernel.msgmax': '1' },
  })
  expect(await container.inspect()).toMatchObject({
    security: {
      capAdd: ['CAP_NET_ADMIN'],
      capDrop: [],
      noNewPrivileges: false,
      seccomp: 'default',
      mask: [],
      unmask: 'all',
      privileged: false,
    },
    devices: [],
    groups: ['7'],
    domainname: 'x',
    oomScoreAdj: 5,
    sysctls: { 'kernel.msgmax': '1' },
  })
  await using usual = await create({})
  expect(await usual.inspect()).toMatchObject({ security: null, groups: [], domainname: null, oomScoreAdj: null })
})
