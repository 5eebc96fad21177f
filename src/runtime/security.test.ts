import { describe, expect, test } from 'vitest'
import { capabilityNames } from '../host/kernel-features.ts'
import { defaultCapabilities } from './process-defaults.ts'
import { parseSecurity, resolveCapabilities, restrictPaths, type Security } from './security.ts'
import { checkSysctls } from './sysctls.ts'

const resolve = (security: Security, available = capabilityNames) =>
  [...resolveCapabilities(parseSecurity(security), available)].sort()
const sorted = (names: readonly string[]) => [...names].sort()
const without = (names: readonly string[], ...left: string[]) => sorted(names.filter((name) => !left.includes(name)))

describe('capabilities', () => {
  test.each<[string, Security, readonly string[]]>([
    ['none named', {}, sorted(defaultCapabilities)],
    [
      'added, in any spelling',
      { capAdd: ['net_admin', 'CAP_SYS_TIME'] },
      sorted([...defaultCapabilities, 'CAP_NET_ADMIN', 'CAP_SYS_TIME']),
    ],
    ['dropped', { capDrop: ['CHOWN'] }, without(defaultCapabilities, 'CAP_CHOWN')],
    ['all dropped but one', { capDrop: ['ALL'], capAdd: ['CHOWN'] }, ['CAP_CHOWN']],
    ['all dropped', { capDrop: ['all'] }, []],
    ['all added but one', { capAdd: ['ALL'], capDrop: ['SYS_ADMIN'] }, without(capabilityNames, 'CAP_SYS_ADMIN')],
    ['added and dropped', { capAdd: ['CHOWN'], capDrop: ['CHOWN'] }, sorted(defaultCapabilities)],
    ['all in both', { capAdd: ['ALL'], capDrop: ['ALL'] }, sorted(capabilityNames)],
  ])('%s', (_what, security, expected) => {
    expect(resolve(security)).toEqual(expected)
  })

  test('only what this process has', () => {
    const available = without(capabilityNames, 'CAP_SYS_RESOURCE', 'CAP_MKNOD')
    expect(resolve({ capAdd: ['ALL'] }, available)).toEqual(available)
    expect(resolve({}, available)).not.toContain('CAP_MKNOD')
    expect(() => resolve({ capAdd: ['SYS_RESOURCE'] }, available)).toThrow(
      expect.objectContaining({
        code: 'runtime.unsupported_capability',
        subject: { type: 'capability', id: 'CAP_SYS_RESOURCE' },
      }),
    )
  })

  test.each(['SYS_MAGIC', '', 'CAP_', 'CAP_CAP_CHOWN'])('there is no %j', (name) => {
    expect(() => parseSecurity({ capDrop: [name] })).toThrow(
      expect.objectContaining({ code: 'runtime.bad_capability' }),
    )
  })
})

test.each<[string, unknown]>([
  ['noNewPrivileges', 'yes'],
  ['seccomp', 'strict'],
  ['capAdd', 'NET_ADMIN'],
  ['mask', ['proc']],
  ['unmask', 'some'],
  ['unmask', ['/a\0b']],
])('%s: %j is refused', (key, value) => {
  expect(() => parseSecurity({ [key]: value })).toThrow(
    expect.objectContaining({ code: 'runtime.bad_security', subject: { type: 'option', id: key } }),
  )
})

test('paths: more of them, fewer of them, none', () => {
  const defaults = ['/proc/kcore', '/proc/keys']
  expect(restrictPaths(defaults, { mask: ['/etc/secret', '/proc/keys'], unmask: [] })).toEqual([
    ...defaults,
    '/etc/secret',
  ])
  expect(restrictPaths(defaults, { mask: [], unmask: ['/proc/keys', '/elsewhere'] })).toEqual(['/proc/kcore'])
  expect(restrictPaths(defaults, { mask: ['/x'], unmask: 'all' })).toEqual(['/x'])
})

describe('kernel settings', () => {
  test.each(['net.core.somaxconn', 'net/ipv4/ip_forward', 'kernel.shmmax', 'kernel.sem', 'fs.mqueue.msg_max'])(
    '%s is one of a container',
    (name) => {
      if (!name.includes('/')) checkSysctls({ [name]: '1' }, 'own')
      else expect(() => checkSysctls({ [name]: '1' }, 'own')).toThrow('whole machine')
    },
  )

  test.each<[string, unknown, string, 'own' | 'host']>([
    ['kernel.panic', '1', 'whole machine', 'own'],
    ['vm.swappiness', '1', 'whole machine', 'own'],
    ['net.core.somaxconn', '1', 'network of the host', 'host'],
    ['net.core.somaxconn', 1, 'text', 'own'],
    ['net.core.somaxconn', '1\n2', 'text', 'own'],
    ['../../etc/passwd', '1', 'no name', 'own'],
  ])('%s = %j: %s', (name, value, message, network) => {
    expect(() => checkSysctls({ [name]: value }, network)).toThrow(message)
  })
})
