import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Container, Engine } from '../../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'
import { moments, momentsTimeout, randomNumbers } from './random-moments.ts'

let fixture: BusyboxRoot

beforeAll(async () => {
  fixture = await busyboxRoot()
})
afterAll(async () => {
  await fixture[Symbol.asyncDispose]()
})

/** A tenth of the usual number: each of them opens an engine twice. */
const rounds = Math.ceil(moments / 10)

/** Commits, or pauses and resumes, in another process until it is killed at some moment. */
async function killedCommitting(id: string, seed: number, what: 'commit' | 'pause' = 'commit'): Promise<void> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'commit-child.ts'), fixture.root, id, what], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.stdout.resume()
  // A cold commit takes some hundred milliseconds from sources, the next ones ten.
  await sleep(randomNumbers(seed)(600))
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

async function expectWhole(engine: Engine, seed: number): Promise<void> {
  expect({ seed, problems: (await engine.check({ contents: true })).problems }).toEqual({ seed, problems: [] })
  for await (const image of engine.images.list()) {
    const { layers } = await image.inspect()
    expect(layers.length).toBeGreaterThan(0)
  }
  expect(readdirSync(join(fixture.root, 'run/work'))).toEqual([])
}

test('SIGKILL in the middle of a commit leaves nothing half made', { timeout: momentsTimeout }, async () => {
  const script = 'seq 20000 > /numbers; rm /etc/group; for at in $(seq 100); do echo $at > /root/$at; done'
  let id: string
  {
    await using engine = await fixture.open()
    const container = await engine.containers.create({
      image: imageName,
      command: ['sh', '-c', script],
      networks: 'none',
    })
    container.keep()
    await container.start()
    await container.wait()
    id = container.id
  }
  for (let seed = 1; seed <= rounds; seed++) {
    await killedCommitting(id, seed)
    await using engine = await fixture.open()
    await engine.gc()
    await expectWhole(engine, seed)
  }
  await using engine = await fixture.open()
  const image = await (await engine.containers.get(id)).commit()
  await using copy = await engine.containers.run({
    image,
    command: ['sh', '-c', 'test ! -e /etc/group && tail -n1 /numbers && cat /root/100'],
    networks: 'none',
  })
  expect(await copy.wait()).toMatchObject({ exitCode: 0 })
})

/** A detached container that counts its turns in a file. */
async function startBeating(prepare: string): Promise<string> {
  await using engine = await fixture.open()
  const loop = 'beat=0; while true; do beat=$((beat+1)); echo $beat > /beat; usleep 5000; done'
  const container = await engine.containers.run({
    image: imageName,
    command: ['sh', '-c', `${prepare}; ${loop}`],
    lifetime: 'detached',
    networks: 'none',
    stopTimeout: 0,
  })
  return container.keep().id
}

/** Whether it takes another turn: a disk that is busy may keep it for a while, a frozen one never does. */
async function beats(container: Container, forMs: number): Promise<boolean> {
  const { paths } = await container.inspect()
  const read = () => readFileSync(join(paths.mergedRoot!, 'beat'), 'utf8')
  const before = read()
  for (const end = performance.now() + forMs; performance.now() < end; ) {
    await sleep(10)
    if (read() !== before) return true
  }
  return false
}

test('a pause or its end that is killed on the way happened or did not', { timeout: momentsTimeout }, async () => {
  const id = await startBeating('true')
  for (let seed = 1; seed <= rounds / 2; seed++) {
    await killedCommitting(id, seed * 17, 'pause')
    await using engine = await fixture.open()
    const container = await engine.containers.get(id)
    const { status } = await container.inspect()
    if (status === 'paused') {
      expect({ seed, beats: await beats(container, 100) }).toEqual({ seed, beats: false })
      await container.unpause()
    }
    expect({ seed, beats: await beats(container, 10_000) }).toEqual({ seed, beats: true })
    await expectWhole(engine, seed)
  }
  await using engine = await fixture.open()
  await (await engine.containers.get(id)).remove({ force: true })
})

test(
  'a detached container that was frozen for a commit goes on when the committer is killed',
  async () => {
    const id = await startBeating('seq 300000 > /numbers')
    let frozen = 0
    for (let seed = 1; seed <= rounds / 2 || (frozen === 0 && seed < 100); seed++) {
      await killedCommitting(id, seed * 31)
      await using engine = await fixture.open()
      const container = await engine.containers.get(id)
      expect((await container.inspect()).status).toBe('running')
      const events: string[] = []
      for await (const { action, subject } of engine.events({ types: ['container'], follow: false }))
        if (subject === id && /pause|commit/.test(action)) events.push(action)
      if (events.slice(0, -1).at(-1) === 'pause' && events.at(-1) === 'unpause') frozen++
      expect({ seed, beats: await beats(container, 10_000) }).toEqual({ seed, beats: true })
      await expectWhole(engine, seed)
    }
    expect(frozen).toBeGreaterThan(0)
    await using engine = await fixture.open()
    await (await engine.containers.get(id)).remove({ force: true })
  },
  momentsTimeout,
)
