import { describe, expect, test } from 'vitest'
import { hostDevices, parseDeviceRule, parseDevices, resolveDevices } from './devices.ts'

describe('the short form', () => {
  test.each([
    ['/dev/fuse', { source: '/dev/fuse', target: '/dev/fuse', access: 'rwm' }],
    ['/dev/fuse:r', { source: '/dev/fuse', target: '/dev/fuse', access: 'r' }],
    ['/dev/fuse:/dev/x', { source: '/dev/fuse', target: '/dev/x', access: 'rwm' }],
    ['/dev/../dev/fuse:/dev//x:rw', { source: '/dev/fuse', target: '/dev/x', access: 'rw' }],
  ])('%s', (text, device) => {
    expect(parseDevices([text])).toEqual([device])
  })

  test.each(['fuse', '/dev/fuse:rx', '/dev/fuse:/dev/x:', '/dev/fuse:/a:r:w', ''])('%j is none', (text) => {
    expect(() => parseDevices([text])).toThrow(expect.objectContaining({ code: 'runtime.bad_device' }))
  })
})

test.each([{ source: 1 }, { target: '/x' }, null, 7, { source: '/dev/fuse', mode: 'r' }])(
  '%j is no device',
  (entry) => {
    expect(() => parseDevices([entry])).toThrow(expect.objectContaining({ code: 'runtime.bad_device' }))
  },
)

test('rules', () => {
  expect(parseDeviceRule('c 1:3 mr')).toEqual({ allow: true, type: 'c', major: 1, minor: 3, access: 'mr' })
  expect(parseDeviceRule('b 8:* r')).toEqual({ allow: true, type: 'b', major: 8, access: 'r' })
  expect(parseDeviceRule('a *:* rwm')).toEqual({ allow: true, type: 'a', access: 'rwm' })
  for (const wrong of ['c 1:3', 'c 1 r', 'd 1:3 r', 'c 1:3 x', 3])
    expect(() => parseDeviceRule(wrong)).toThrow(expect.objectContaining({ code: 'runtime.bad_device' }))
})

test('looked up on this host, with number, owner and rights', () => {
  const { nodes, rules } = resolveDevices(parseDevices(['/dev/null:/dev/nothing:r']))
  expect(nodes).toMatchObject([
    { path: '/dev/nothing', type: 'c', major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 },
  ])
  expect(rules).toEqual([{ allow: true, type: 'c', major: 1, minor: 3, access: 'r' }])
  expect(() => resolveDevices(parseDevices(['/dev/none']))).toThrow(
    expect.objectContaining({ code: 'runtime.device_missing' }),
  )
  expect(() => resolveDevices(parseDevices(['/etc']))).toThrow(expect.objectContaining({ code: 'runtime.bad_device' }))
})

test('all of the host, but terminals and what is no device', () => {
  const { nodes, rules } = hostDevices()
  expect(rules).toEqual([{ allow: true, type: 'a', access: 'rwm' }])
  const paths = nodes.map(({ path }) => path)
  expect(paths).toContain('/dev/null')
  expect(paths.filter((path) => /^\/dev\/(pts|shm|fd|console|ptmx)/.test(path))).toEqual([])
})
