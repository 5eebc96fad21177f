import { describe, expect, test } from 'vitest'
import { parseMountInfo } from '../mount-info.ts'
import { parseHierarchies } from './hierarchy.ts'

const parse = (mounts: string[], membership: string[]) =>
  parseHierarchies(parseMountInfo(mounts.join('\n')), membership.join('\n'))

describe('cgroup hierarchies', () => {
  test('v2 of a systemd service', () => {
    const found = parse(
      ['31 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate'],
      ['0::/system.slice/app.service'],
    )
    expect(found.mode).toBe('v2')
    expect(found.used).toEqual([
      { version: 2, directory: '/sys/fs/cgroup', controllers: [], own: '/system.slice/app.service' },
    ])
  })

  test('hybrid: v1 is used, all are known', () => {
    const found = parse(
      [
        '1 0 0:1 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
        '2 0 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd',
        '3 0 0:3 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
        '4 0 0:4 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory,release_agent=/x',
      ],
      ['3:cpu,cpuacct:/job', '2:name=systemd:/', '1:memory:/job/1', '0::/scope'],
    )
    expect(found.mode).toBe('hybrid')
    expect(found.used.map((h) => [h.directory, h.controllers, h.own])).toEqual([
      ['/sys/fs/cgroup/systemd', ['name=systemd'], '/'],
      ['/sys/fs/cgroup/cpu,cpuacct', ['cpu', 'cpuacct'], '/job'],
      ['/sys/fs/cgroup/memory', ['memory'], '/job/1'],
    ])
    expect(found.all.find((h) => h.version === 2)?.own).toBe('/scope')
  })

  test("v1 beside systemd's tree only is v1; a full v2 tree beside systemd's is v2", () => {
    const memory = '4 0 0:4 / /m rw - cgroup cgroup rw,memory'
    const systemd = '2 0 0:2 / /s rw - cgroup cgroup rw,name=systemd'
    const unified = '1 0 0:1 / /u rw - cgroup2 cgroup2 rw'
    expect(parse([memory, systemd], []).mode).toBe('v1')
    expect(parse([systemd, unified], []).mode).toBe('v2')
    expect(parse([systemd, unified], []).used.map((h) => h.directory)).toEqual(['/u'])
    expect(parse([], [])).toEqual({ mode: 'v2', all: [], used: [] })
  })

  test('inside a container without a cgroup namespace, paths begin at what is mounted', () => {
    const found = parse(['4 0 0:4 /docker/abc /m rw - cgroup cgroup rw,memory'], ['1:memory:/docker/abc/sub'])
    expect(found.used[0]?.own).toBe('/sub')
  })
})
