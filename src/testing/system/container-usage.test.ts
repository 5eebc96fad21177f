import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Container, ContainerSpec, ContainerStats, Engine, Resources } from '../../index.ts'
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

const run = (script: string, more: Partial<ContainerSpec> = {}) =>
  engine.containers.run({ image: imageName, networks: 'none', stopTimeout: 0, command: ['sh', '-c', script], ...more })

/** Samples until one is as it is wanted; the last one. */
async function sampleUntil(container: Container, wanted: (stats: ContainerStats) => boolean): Promise<ContainerStats> {
  for await (const stats of container.stats({ every: 50 }, { signal: AbortSignal.timeout(30_000) }))
    if (wanted(stats)) return stats
  throw new Error('the container ended')
}

describe('stats', () => {
  test('a loop that may use a quarter of a processor', async () => {
    await using container = await run('while :; do :; done', { resources: { cpus: 0.25 } })
    const stats = await sampleUntil(container, ({ cpu }) => cpu!.periods >= 20)
    expect(stats.cpu!.throttledPeriods).toBeGreaterThan(5)
    expect(stats.cpu!.throttledMicros).toBeGreaterThan(0)
    const { userMicros, systemMicros, totalMicros } = stats.cpu!
    // The kernel samples which of the two it was, and on v1 they are three files.
    expect(userMicros).toBeGreaterThan(0)
    expect(Math.abs(userMicros + systemMicros - totalMicros)).toBeLessThan(totalMicros / 2 + 200_000)
    let before: ContainerStats | null = null
    for await (const sample of container.stats({ every: '500ms' })) {
      if (!before) expect(sample.rates).toBeNull()
      else {
        const seconds = (sample.time.getTime() - before.time.getTime()) / 1000
        const used = (sample.cpu!.totalMicros - before.cpu!.totalMicros) / 1e6 / seconds
        expect(sample.rates!.processors).toBeCloseTo(used, 1)
        expect(sample.rates!.processors).toBeLessThan(0.5)
        expect(sample.rates!.processors).toBeGreaterThan(0.05)
        break
      }
      before = sample
    }
  })

  test('memory and its limit, processes and theirs', async () => {
    const size = 20 * 2 ** 20
    await using container = await run('sleep 1000 & head -c 20971520 /dev/zero > /dev/shm/x; wait', {
      resources: { memory: '64m', pids: 50 },
    })
    const { memory, pids } = await sampleUntil(container, ({ memory }) => memory!.usedBytes > size)
    expect(memory).toMatchObject({ limitBytes: 64 * 2 ** 20 })
    expect(memory!.usedBytes).toBeLessThan(64 * 2 ** 20)
    expect(memory!.peakBytes).toBeGreaterThanOrEqual(size)
    expect(pids!.limit).toBe(50)
    expect(pids!.current).toBeGreaterThanOrEqual(2)
  })

  test('networks, as the container sees them', async () => {
    await using container = await run(
      'ping -c 5 -i 0.1 $(ip route | sed -n "s/^default via \\([^ ]*\\).*/\\1/p"); sleep 1000',
      {
        networks: ['bridge'],
      },
    )
    const { networks, rates } = await sampleUntil(container, ({ networks, rates }) => {
      const eth0 = networks['eth0']!
      return rates !== null && eth0.sent.packets >= 5 && eth0.received.packets >= 5
    })
    expect(Object.keys(networks)).toEqual(['eth0'])
    expect(networks['eth0']!.sent.bytes).toBeGreaterThan(5 * 64)
    expect(networks['eth0']).toMatchObject({ sent: { errors: 0 }, received: { errors: 0 } })
    expect(rates!.sentBytesPerSecond).toBeGreaterThanOrEqual(0)
  })

  test('none, and the network of the host', async () => {
    await using alone = await run('sleep 1000')
    await using shared = await run('sleep 1000', { networks: 'host' })
    for (const container of [alone, shared])
      for await (const stats of container.stats()) {
        expect(stats.networks).toEqual({})
        break
      }
  })

  test('they end with the container, and with the signal', async () => {
    await using container = await run('sleep 0.5')
    const seen = await Array.fromAsync(container.stats({ every: 20 }))
    expect(seen.length).toBeGreaterThan(1)
    await using other = await run('sleep 1000')
    const signal = AbortSignal.timeout(200)
    await expect(Array.fromAsync(other.stats({ every: '1h' }, { signal }))).rejects.toMatchObject({
      name: 'AbortError',
    })
  })

  test('of a detached one that somebody else holds, and in its next life', async () => {
    const container = await run('sleep 1000', { lifetime: 'detached' })
    for (let life = 0; life < 2; life++) {
      for await (const stats of container.stats()) {
        expect(stats.pids!.current).toBe(1)
        break
      }
      await container.kill()
      await container.wait()
      if (life === 0) await container.start()
    }
    await container.remove()
  })

  test('wrong calls', async () => {
    await using container = await engine.containers.create({ image: imageName, networks: 'none', command: ['true'] })
    await expect(Array.fromAsync(container.stats())).rejects.toMatchObject({ code: 'container.not_running' })
    await expect(Array.fromAsync(container.stats({ every: 1 }))).rejects.toMatchObject({ code: 'container.bad_spec' })
    await expect(Array.fromAsync(container.stats({ every: 'soon' }))).rejects.toMatchObject({
      code: 'container.bad_spec',
    })
    await expect(container.top()).rejects.toMatchObject({ code: 'container.not_running' })
  })
})

describe('update', () => {
  const limitsOf = async (container: Container) => {
    for await (const { memory, pids } of container.stats()) return { memory: memory!.limitBytes, pids: pids!.limit }
    throw new Error('the container ended')
  }

  test('limits of a running container, which stay for its next start', async () => {
    await using container = await run('sleep 1000', { resources: { memory: '64m', pids: 20 } })
    await container.update({ memory: '96m' })
    expect(await limitsOf(container)).toEqual({ memory: 96 << 20, pids: 20 })
    await container.update({ pids: -1, cpus: 0.5 })
    expect(await limitsOf(container)).toEqual({ memory: 96 << 20, pids: null })
    expect((await container.inspect()).resources).toEqual({ memory: '96m', pids: -1, cpus: 0.5 })
    await container.kill()
    await container.wait()
    await container.update({ pids: 30, cpuQuota: 20_000 })
    await container.start()
    expect(await limitsOf(container)).toEqual({ memory: 96 << 20, pids: 30 })
    expect((await container.inspect()).resources).toEqual({ memory: '96m', pids: 30, cpuQuota: 20_000 })
    await sampleUntil(container, ({ cpu }) => cpu !== null)
  })

  test('of a detached container, by a process that does not hold it', async () => {
    const container = await run('sleep 1000', { lifetime: 'detached', resources: { pids: -1 } })
    await container.update({ memory: '32m' })
    expect(await limitsOf(container)).toEqual({ memory: 32 << 20, pids: null })
    await container.remove({ force: true })
  })

  test('what cannot be leaves everything as it was', async () => {
    await using container = await run('head -c 20971520 /dev/zero > /dev/shm/x; sleep 1000', {
      resources: { memory: '64m', pids: 20 },
    })
    await sampleUntil(container, ({ memory }) => memory!.usedBytes > 20 << 20)
    const before = await container.inspect()
    for (const [wrong, code] of [
      [{ memory: 1 }, 'runtime.bad_resource'],
      [{ cpus: 1000 }, 'runtime.bad_resource'],
      [{ memroy: '1g' }, 'runtime.bad_resource'],
      [{ memorySwap: '1m' }, 'runtime.bad_resource'],
    ] as const)
      await expect(container.update(wrong as Resources)).rejects.toMatchObject({ code })
    expect((await container.inspect()).resources).toEqual(before.resources)
    expect(await limitsOf(container)).toEqual({ memory: 64 << 20, pids: 20 })
  })
})

test('top: every process with its place, owner and words', async () => {
  await using container = await run('echo ready; sleep 999 & exec sleep 998', { user: '1234:5678' })
  for await (const _ of container.logs({ follow: true })) break
  await sampleUntil(container, ({ pids }) => pids!.current === 2)
  const inspect = await container.inspect()
  const found = await container.top()
  const first = found.find(({ innerPid }) => innerPid === 1)!
  const second = found.find(({ innerPid }) => innerPid !== 1)!
  expect(found).toHaveLength(2)
  expect(first).toMatchObject({ pid: inspect.pid, uid: 1234, gid: 5678, name: 'sleep', argv: ['sleep', '998'] })
  expect(second).toMatchObject({ parentPid: first.pid, uid: 1234, argv: ['sleep', '999'], threads: 1 })
  expect(Math.abs(first.startedAt.getTime() - inspect.startedAt!.getTime())).toBeLessThan(5000)
})
