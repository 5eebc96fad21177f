import { describe, expect, test } from 'vitest'
import { buildRuntimeSpec, type SpecInput } from './build-spec.ts'
import type { UserMount } from './container-mounts.ts'
import { defaultCapabilities } from './process-defaults.ts'

const input: SpecInput = {
  rootPath: '/r',
  readOnlyRoot: false,
  hostname: 'box',
  argv: ['sh', '-c', 'true'],
  env: ['A=1'],
  workdir: '/srv',
  user: { uid: 0, gid: 0, additionalGids: [0], home: '/root' },
  rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1, hard: 2 }],
  oomScoreAdj: 0,
  userMounts: [],
  files: { resolvConf: '/f/resolv', hosts: '/f/hosts', hostname: '/f/hostname' },
  shmBytes: 1024,
  network: { kind: 'path', path: '/proc/1/fd/9' },
  resources: { pids: { limit: 9 } },
  cgroupsPath: '/tscontainer/e/c',
  cgroupMode: 'v2',
  seccomp: {},
}

const bind = (target: string, more: Partial<Extract<UserMount, { type: 'bind' }>> = {}): UserMount => ({
  type: 'bind',
  source: '/s',
  target,
  readOnly: false,
  propagation: 'rprivate',
  recursive: true,
  ...more,
})

describe('runtime spec', () => {
  test('the whole of it', () => {
    expect(buildRuntimeSpec(input)).toMatchSnapshot()
  })

  test('namespaces follow the network and the cgroup version', () => {
    const types = (changes: Partial<SpecInput>) =>
      buildRuntimeSpec({ ...input, ...changes }).linux.namespaces.map(({ type, path }) =>
        path ? `${type}:${path}` : type,
      )
    expect(types({})).toEqual(['mount', 'pid', 'ipc', 'uts', 'network:/proc/1/fd/9', 'cgroup'])
    expect(types({ network: { kind: 'new' }, cgroupMode: 'v1' })).toEqual(['mount', 'pid', 'ipc', 'uts', 'network'])
    expect(types({ network: { kind: 'host' }, cgroupMode: 'hybrid' })).toEqual(['mount', 'pid', 'ipc', 'uts'])
  })

  test('others than root hold no capability at first', () => {
    const { process } = buildRuntimeSpec({ ...input, user: { uid: 5, gid: 6, additionalGids: [6, 7], home: '/' } })
    expect(process.user).toEqual({ uid: 5, gid: 6, additionalGids: [6, 7] })
    expect(process.capabilities).toEqual({ bounding: defaultCapabilities })
    expect(defaultCapabilities).toHaveLength(14)
  })

  test('seccomp in either form, annotations of both', () => {
    const profile = { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [] }
    expect(buildRuntimeSpec({ ...input, seccomp: { profile } }).linux.seccomp).toBe(profile)
    const spec = buildRuntimeSpec({ ...input, seccomp: { annotations: { b: '2' } }, annotations: { a: '1' } })
    expect(spec.annotations).toEqual({ a: '1', b: '2' })
    expect(spec.linux.seccomp).toBeUndefined()
  })
})

describe('mounts', () => {
  const mounts = (userMounts: readonly UserMount[]) => buildRuntimeSpec({ ...input, userMounts }).mounts
  const targets = (userMounts: readonly UserMount[]) => mounts(userMounts).map(({ destination }) => destination)

  test("the user's come last, by depth, and replace defaults", () => {
    const all = targets([bind('/a/b/c'), bind('/a'), bind('/etc/hosts'), bind('/dev/shm/'), bind('/a//b')])
    expect(all.slice(-5)).toEqual(['/a', '/etc/hosts', '/dev/shm', '/a/b', '/a/b/c'])
    expect(all.filter((target) => target === '/etc/hosts' || target === '/dev/shm')).toHaveLength(2)
  })

  test('options', () => {
    const tmpfs: UserMount = { type: 'tmpfs', target: '/t', readOnly: true, sizeBytes: 4096, mode: 0o700 }
    expect(mounts([bind('/b', { readOnly: true, recursive: false, propagation: 'rslave' })]).at(-1)?.options).toEqual([
      'bind',
      'rslave',
      'ro',
    ])
    expect(mounts([tmpfs]).at(-1)?.options).toEqual(['nosuid', 'nodev', 'noexec', 'ro', 'mode=700', 'size=4096'])
    expect(mounts([{ ...tmpfs, readOnly: false, sizeBytes: null }]).at(-1)?.options).toEqual([
      'nosuid',
      'nodev',
      'noexec',
      'rw',
      'mode=700',
    ])
  })

  test('the root passes on what a bind shares', () => {
    const propagation = (...kinds: ('rshared' | 'rslave' | 'slave' | 'private')[]) =>
      buildRuntimeSpec({ ...input, userMounts: kinds.map((kind, i) => bind(`/${i}`, { propagation: kind })) }).linux
        .rootfsPropagation
    expect([
      propagation(),
      propagation('private'),
      propagation('slave', 'private'),
      propagation('rslave', 'rshared'),
    ]).toEqual(['rprivate', 'rprivate', 'rslave', 'rshared'])
  })

  test.each<[string, readonly UserMount[]]>([
    ['relative target', [bind('a')]],
    ['root', [bind('/')]],
    ['root by detour', [bind('/a/..')]],
    ['NUL', [bind('/a\0b')]],
    ['twice', [bind('/a'), bind('/a/')]],
    ['relative source', [bind('/a', { source: 'b' })]],
  ])('%s is refused', (_, list) => {
    expect(() => mounts(list)).toThrow(expect.objectContaining({ code: 'runtime.bad_mount' }))
  })
})
