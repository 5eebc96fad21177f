import { describe, expect, test } from 'vitest'
import { stringifyRuntimeJson, unlimitedRlimit } from '../oci/runtime-spec.ts'
import { parseBytes } from './byte-size.ts'
import { containerOomScore, type HostLimits, parseHardLimits, readHostLimits } from './host-limits.ts'
import { checkResources, type Resources, resolveResources } from './resources.ts'
import { resolveRlimits } from './ulimits.ts'

const machine = { controllers: ['memory', 'cpu', 'cpuset', 'pids', 'blkio'], swap: true, processors: 4 }
const mighty: HostLimits = { mayRaise: true, hard: { nofile: 100 }, openFiles: 1_048_576, oomScoreAdj: 300 }
const poor: HostLimits = {
  mayRaise: false,
  hard: { nofile: 20_000, nproc: 96_343 },
  openFiles: 1_048_576,
  oomScoreAdj: 300,
}

describe('sizes', () => {
  test.each([
    [0, 0],
    ['0', 0],
    ['4096', 4096],
    ['64m', 64 << 20],
    ['64MB', 64 << 20],
    ['64MiB', 64 << 20],
    ['1.5g', 1.5 * 2 ** 30],
    ['1 k', 1024],
    [' 2t ', 2 * 2 ** 40],
    ['7b', 7],
  ])('%s', (text, bytes) => expect(parseBytes(text)).toBe(bytes))
  test.each(['', 'm', '-1', '1x', '1e3', '0x10', '1..5m', 'Infinity', -1, 1.5, Number.NaN, null, {}, '9999999p'])(
    '%s is none',
    (text) => expect(parseBytes(text)).toBeNull(),
  )
})

describe('resources', () => {
  test('in the words of config.json', () => {
    expect(resolveResources({}, machine)).toEqual({})
    expect(
      resolveResources(
        {
          memory: '512m',
          memoryReservation: '100m',
          cpus: 1.5,
          cpuShares: 512,
          cpusetCpus: '0-1,3',
          cpusetMems: '0',
          pids: 100,
          ioWeight: 300,
        },
        machine,
      ),
    ).toEqual({
      memory: { limit: 512 << 20, reservation: 100 << 20, swap: 2 ** 30 },
      cpu: { shares: 512, quota: 150_000, period: 100_000, cpus: '0-1,3', mems: '0' },
      pids: { limit: 100 },
      blockIO: { weight: 300 },
    })
    expect(resolveResources({ memory: '64m', memorySwap: -1, pids: -1 }, machine)).toEqual({
      memory: { limit: 64 << 20, swap: -1 },
      pids: { limit: 4_194_304 },
    })
    expect(resolveResources({ memory: '64m' }, { ...machine, swap: false })).toEqual({ memory: { limit: 64 << 20 } })
    expect(resolveResources({ cpuQuota: 5000, cpuPeriod: 10_000 }, machine)).toEqual({
      cpu: { quota: 5000, period: 10_000 },
    })
  })

  test.each<[string, Record<string, unknown>]>([
    ['memory', { memory: '5m' }],
    ['memory', { memory: 'much' }],
    ['memory', { memory: -1 }],
    ['memorySwap', { memorySwap: '1g' }],
    ['memorySwap', { memory: '512m', memorySwap: '256m' }],
    ['memoryReservation', { memory: '64m', memoryReservation: '65m' }],
    ['cpus', { cpus: 0 }],
    ['cpus', { cpus: Number.NaN }],
    ['cpus', { cpus: 1, cpuQuota: 1000 }],
    ['cpus', { cpus: '2' }],
    ['cpuShares', { cpuShares: 1 }],
    ['cpuQuota', { cpuQuota: 999 }],
    ['cpuPeriod', { cpuPeriod: 2_000_000 }],
    ['cpusetCpus', { cpusetCpus: '0;1' }],
    ['cpusetMems', { cpusetMems: '' }],
    ['pids', { pids: 0 }],
    ['pids', { pids: 1.5 }],
    ['ioWeight', { ioWeight: 5 }],
    ['memroy', { memroy: 1 }],
  ])('a bad %s is named: %o', (key, resources) => {
    expect(() => checkResources(resources as Resources)).toThrow(
      expect.objectContaining({ code: 'runtime.bad_resource', details: { key } }),
    )
  })

  test('what the machine cannot do is refused by name', () => {
    const lacking = (resources: Resources, support: Partial<typeof machine>) => () =>
      resolveResources(resources, { ...machine, ...support })
    for (const [key, resources] of [
      ['memory', { memory: '64m' }],
      ['pids', { pids: 5 }],
      ['cpus', { cpus: 1 }],
      ['cpusetCpus', { cpusetCpus: '0' }],
      ['ioWeight', { ioWeight: 10 }],
    ] as const)
      expect(lacking(resources, { controllers: [] })).toThrow(
        expect.objectContaining({ code: 'runtime.unsupported_resource', details: { key } }),
      )
    expect(lacking({ memory: '64m', memorySwap: '65m' }, { swap: false })).toThrow(
      expect.objectContaining({ details: { key: 'memorySwap' } }),
    )
    expect(lacking({ cpus: 5 }, {})).toThrow(expect.objectContaining({ code: 'runtime.bad_resource' }))
    expect(resolveResources({ ioWeight: 10 }, { ...machine, controllers: ['io'] })).toEqual({ blockIO: { weight: 10 } })
  })
})

describe('ulimits', () => {
  const find = (limits: ReturnType<typeof resolveRlimits>, name: string) =>
    limits.find(({ type }) => type === `RLIMIT_${name}`)

  test('defaults do not depend on the process, but on what it may give', () => {
    expect(find(resolveRlimits({}, mighty), 'NOFILE')).toMatchObject({ soft: 1024, hard: 524_288 })
    expect(find(resolveRlimits({}, mighty), 'NPROC')).toMatchObject({ soft: unlimitedRlimit, hard: unlimitedRlimit })
    expect(find(resolveRlimits({}, poor), 'NOFILE')).toMatchObject({ soft: 1024, hard: 20_000 })
    expect(find(resolveRlimits({}, poor), 'NPROC')).toMatchObject({ soft: 96_343, hard: 96_343 })
    expect(find(resolveRlimits({}, { ...mighty, openFiles: 1000 }), 'NOFILE')).toMatchObject({ soft: 1000, hard: 1000 })
  })

  test('what the user says', () => {
    expect(find(resolveRlimits({ nofile: 99 }, poor), 'NOFILE')).toMatchObject({ soft: 99, hard: 99 })
    expect(find(resolveRlimits({ nofile: { soft: 1, hard: 2 }, rtprio: 5 }, mighty), 'NOFILE')).toMatchObject({
      soft: 1,
      hard: 2,
    })
    expect(find(resolveRlimits({ core: -1 }, mighty), 'CORE')).toMatchObject({ soft: unlimitedRlimit })
    expect(() => resolveRlimits({ nofile: 20_001 }, poor)).toThrow(
      expect.objectContaining({ code: 'runtime.unsupported_ulimit' }),
    )
    expect(() => resolveRlimits({ nproc: -1 }, poor)).toThrow(
      expect.objectContaining({ code: 'runtime.unsupported_ulimit' }),
    )
  })

  test.each<[string, unknown]>([
    ['files', { files: 1 }],
    ['nofile', { nofile: 'many' }],
    ['nofile', { nofile: -2 }],
    ['nofile', { nofile: 1.5 }],
    ['nofile', { nofile: { soft: 2, hard: 1 } }],
    ['nofile', { nofile: { soft: -1, hard: 1 } }],
    ['nofile', { nofile: { soft: 1 } }],
    ['nofile', { nofile: null }],
  ])('a bad %s is named: %o', (name, ulimits) => {
    expect(() => resolveRlimits(ulimits as never, mighty)).toThrow(
      expect.objectContaining({ code: 'runtime.bad_ulimit', subject: { type: 'ulimit', id: name } }),
    )
  })

  test('2^64 - 1 is written exactly and comes back as itself', () => {
    const text = stringifyRuntimeJson({
      user: { uid: 0, gid: 0 },
      args: ['18446744073709551616'],
      env: [],
      cwd: '/',
      rlimits: [{ type: 'RLIMIT_CORE', soft: 0, hard: unlimitedRlimit }],
    })
    expect(text).toContain('"hard":18446744073709551615')
    expect(text).toContain('"args":["18446744073709551616"]')
    expect(JSON.parse(text).rlimits[0].hard).toBe(unlimitedRlimit)
  })

  test('hard limits of a process', () => {
    const text = [
      'Limit                     Soft Limit           Hard Limit           Units     ',
      'Max cpu time              unlimited            unlimited            seconds   ',
      'Max open files            1024                 524288               files     ',
      'Max nice priority         0                    7                    ',
    ].join('\n')
    expect(parseHardLimits(text)).toEqual({ cpu: -1, nofile: 524_288, nice: 7 })
    const own = readHostLimits([])
    expect(Object.keys(own.hard)).toHaveLength(16)
    expect(own.mayRaise).toBe(false)
    expect([
      containerOomScore(mighty),
      containerOomScore(poor),
      containerOomScore({ ...poor, oomScoreAdj: -5 }),
    ]).toEqual([0, 300, 0])
  })
})
