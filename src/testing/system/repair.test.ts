import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Engine, isEngineError } from '../../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'

/** Numbers that look random and are the same in every run. */
function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return Math.floor((state / 0x8000_0000) * below)
  }
}

const withFile = (path: string, work: (fd: number, size: number) => void) => {
  const fd = openSync(path, 'r+')
  try {
    work(fd, fstatSync(fd).size)
  } finally {
    closeSync(fd)
  }
}

type Damage = (database: string, random: (below: number) => number) => void

const withoutLog = (database: string) => {
  for (const suffix of ['-wal', '-shm']) rmSync(database + suffix, { force: true })
}

const damages: Readonly<Record<string, Damage>> = {
  removed: (database) => {
    withoutLog(database)
    rmSync(database)
  },
  'emptied, its log gone': (database) => {
    withoutLog(database)
    truncateSync(database)
  },
  truncated: (database, random) => {
    withoutLog(database)
    withFile(database, (_, size) => truncateSync(database, random(size)))
  },
  zeroed: (database) => {
    withoutLog(database)
    withFile(database, (fd, size) => writeSync(fd, Buffer.alloc(size), 0, size, 0))
  },
  'no database any more': (database) => {
    withoutLog(database)
    writeFileSync(database, 'this is no database'.repeat(500))
  },
  'a page zeroed': (database, random) => {
    withoutLog(database)
    withFile(database, (fd, size) => writeSync(fd, Buffer.alloc(4096), 0, 4096, 4096 * random(size / 4096)))
  },
  'bits flipped': (database, random) => {
    withoutLog(database)
    withFile(database, (fd, size) => {
      const bytes = readFileSync(database)
      for (let flip = 0; flip < 60; flip++) {
        const at = random(size)
        writeSync(fd, Buffer.from([bytes[at]! ^ (1 << random(8))]), 0, 1, at)
      }
    })
  },
}

const seeds = process.env['TSCONTAINER_FULL'] === '1' ? 10 : 1

let fixture: BusyboxRoot
let runningId = ''

const open = () => fixture.open()
const repair = () => Engine.repair({ root: fixture.root, diagnostics: () => {} })

/** What must survive. */
async function facts() {
  await using engine = await open()
  const images: unknown[] = []
  for await (const image of engine.images.list()) {
    const { id, names, layers } = await image.inspect()
    images.push({ id, names: [...names].sort(), layers })
  }
  const containers: unknown[] = []
  for await (const container of engine.containers.list()) {
    const { name, id, status, argv, env, labels, pid, exit, networks, lifetime, createdAt, image } =
      await container.inspect()
    containers.push({ name, id, status, argv, env, labels, pid, exit, networks, lifetime, createdAt, image })
  }
  const { rootId } = await engine.info()
  const network = await (await engine.networks.get('bridge')).inspect()
  return { images, containers, rootId, network: { id: network.id, subnets: network.subnets } }
}

async function logOf(engine: Engine, id: string): Promise<string[]> {
  const lines: string[] = []
  for await (const { text } of (await engine.containers.get(id)).logs()) lines.push(text)
  return lines
}

beforeAll(async () => {
  fixture = await busyboxRoot()
  await using engine = await open()
  const image = await engine.images.get(imageName)
  await image.tag('example.org/other/name:v1')
  const base = { image: imageName, lifetime: 'detached', networks: 'none' } as const
  const done = await engine.containers.run({ ...base, name: 'done', command: ['sh', '-c', 'echo bye; exit 5'] })
  await done.wait()
  done.keep()
  ;(await engine.containers.create({ ...base, name: 'fresh', labels: { a: 'b' }, command: ['true'] })).keep()
  const running = await engine.containers.run({
    ...base,
    networks: ['bridge'],
    name: 'running',
    stopTimeout: 200,
    command: ['sh', '-c', 'i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; sleep 0.02; done; exit 9'],
  })
  running.keep()
  runningId = running.id
})

afterEach(() => {
  for (const name of readdirSync(fixture.root)) if (name.startsWith('state.damaged-')) rmSync(join(fixture.root, name))
})

afterAll(() => fixture[Symbol.asyncDispose]())

describe('a root whose records are damaged', () => {
  for (const [kind, damage] of Object.entries(damages))
    for (let seed = 1; seed <= seeds; seed++)
      test(`${kind} (seed ${seed}): refused with a typed error, built anew with everything in it`, async () => {
        const before = await facts()
        const database = join(fixture.root, 'state.db')
        damage(database, seeded(seed * 7919))
        try {
          await using engine = await open()
          for await (const container of engine.containers.list()) await container.inspect()
        } catch (error) {
          expect(isEngineError(error), String(error)).toBe(true)
        }
        const report = await repair()
        expect(report.problems.filter(({ repaired }) => !repaired)).toEqual([])
        const after = await facts()
        expect(after).toEqual(before)
        expect(await repair()).toEqual({ problems: [], setAside: null })
        // The container has run on, is held again, and no line of it was lost.
        await using engine = await open()
        const container = await engine.containers.get('running')
        expect((await container.exec(['echo', 'hi'])).stdout).toBe('hi\n')
        const seen = await logOf(engine, runningId)
        expect(seen).toEqual(Array.from(seen, (_, i) => String(i + 1)))
        expect(await logOf(engine, 'done')).toEqual(['bye'])
      })
})
