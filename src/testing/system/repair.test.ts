import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { endMonitor } from '../../engine/root-processes.ts'
import { type CheckOptions, Engine, isEngineError } from '../../index.ts'
import { openState } from '../../state/open-state.ts'
import { RootPaths } from '../../state/paths.ts'
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

const deaths = process.env['TSCONTAINER_FULL'] === '1' ? 60 : 3
const repairer = join(import.meta.dirname, 'repair-child.ts')
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

describe('a repair', () => {
  test(`can be killed at any moment (${deaths}): the next one finds everything`, async () => {
    const before = await facts()
    for (let seed = 1; seed <= deaths; seed++) {
      const kinds = Object.values(damages)
      kinds[seed % kinds.length]!(join(fixture.root, 'state.db'), seeded(seed))
      const started = performance.now()
      for (let death = 0; death < 3; death++) {
        const child = spawn(process.execPath, ['--conditions=tscontainer-source', repairer, fixture.root], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        await once(child.stdout, 'data')
        await sleep(seeded(seed * 31 + death)(400))
        child.kill('SIGKILL')
        await once(child, 'close')
      }
      expect(
        (await repair()).problems.filter(({ repaired }) => !repaired),
        `seed ${seed}`,
      ).toEqual([])
      expect(await facts(), `seed ${seed}, ${performance.now() - started} ms`).toEqual(before)
    }
    expect(await repair()).toEqual({ problems: [], setAside: null })
  })

  test('is refused while another engine has the root open, and keeps the damaged file', async () => {
    const engine = await open()
    const database = join(fixture.root, 'state.db')
    damages['no database any more']!(database, seeded(1))
    const bytes = readFileSync(database)
    await expect(repair()).rejects.toMatchObject({ code: 'state.in_use' })
    expect(readFileSync(database).equals(bytes)).toBe(true)
    await engine[Symbol.asyncDispose]().catch(() => {})
    const left = readFileSync(database)
    const { setAside } = await repair()
    expect(readFileSync(setAside!).equals(left)).toBe(true)
  })

  test('finds what an older state.db does not know: images, names, containers, what runs', async () => {
    await using engine = await open()
    const database = join(fixture.root, 'state.db')
    const old = ['', '-wal'].map((suffix) => readFileSync(database + suffix))
    await (await engine.images.get(imageName)).tag('later:v2')
    const later = await engine.containers.run({
      image: imageName,
      lifetime: 'detached',
      name: 'later',
      stopTimeout: 200,
      command: ['sleep', '1000'],
    })
    later.keep()
    await engine[Symbol.asyncDispose]()
    const before = await facts()
    {
      using _nobody = await endMonitor(new RootPaths(fixture.root))
      withoutLog(database)
      for (const [at, suffix] of ['', '-wal'].entries()) writeFileSync(database + suffix, old[at]!)
    }
    const { problems, setAside } = await repair()
    expect(setAside).toBe(null)
    expect(new Set(problems.map(({ kind }) => kind))).toEqual(
      new Set(['unrecorded_image', 'unrecorded_container', 'unknown_draft']),
    )
    await using after = await open()
    await (await after.containers.get('running')).exec(['true'])
    await after[Symbol.asyncDispose]()
    expect(await facts()).toEqual(before)
    await using last = await open()
    await (await last.containers.get('later')).remove({ force: true })
  })
})

describe('what cannot be repaired', () => {
  test('a container whose copy is damaged, too, is left alone until somebody removes its directory', async () => {
    let id = ''
    {
      await using engine = await open()
      id = (await engine.containers.create({ image: imageName, lifetime: 'detached', name: 'lost' })).keep().id
    }
    const directory = join(fixture.root, 'containers', id)
    const copy = join(directory, 'container.json')
    writeFileSync(copy, readFileSync(copy, 'utf8').replace('lost', 'list'))
    damages['removed']!(join(fixture.root, 'state.db'), seeded(1))
    const left = async () => (await repair()).problems.filter(({ repaired }) => !repaired).map(({ kind }) => kind)
    expect(new Set(await left())).toEqual(new Set(['unreadable_container', 'unknown_draft']))
    // Neither opening nor repairing it again takes anything away.
    await (await open())[Symbol.asyncDispose]()
    expect(await left()).toEqual(['unreadable_container', 'unknown_draft'])
    expect(existsSync(copy)).toBe(true)
    rmSync(directory, { recursive: true })
    expect((await repair()).problems).toMatchObject([{ kind: 'unknown_draft', id, repaired: true }])
    expect(await repair()).toEqual({ problems: [], setAside: null })
  })
})

describe('a check', () => {
  const kindsOf = async (engine: Engine, options?: CheckOptions) =>
    (await engine.check(options)).problems.map(({ kind, repaired }) => `${kind}${repaired ? ' repaired' : ''}`).sort()

  test('finds nothing on a sound root, beside an engine that works', async () => {
    await using engine = await open()
    await using _other = await engine.containers.run({
      image: imageName,
      networks: 'none',
      stopTimeout: 100,
      command: ['sleep', '9'],
    })
    expect(await engine.check({ contents: true })).toEqual({ problems: [], setAside: null })
  })

  test('files of nobody are found and removed', async () => {
    await using engine = await open()
    const stray = join(fixture.root, 'content/blobs/sha256', 'a'.repeat(64))
    const left = join(fixture.root, 'containers', 'b'.repeat(64))
    writeFileSync(stray, 'stray')
    mkdirSync(left)
    expect(await kindsOf(engine)).toEqual(['leftover_container', 'unrecorded_blob'])
    expect(await kindsOf(engine, { repair: true })).toEqual(['leftover_container repaired', 'unrecorded_blob repaired'])
    expect([stray, left].filter((path) => existsSync(path))).toEqual([])
    expect(await kindsOf(engine)).toEqual([])
  })

  test('a changed blob is found by its contents, and loading the image again mends it', async () => {
    await using engine = await open()
    const { layers } = await (await engine.images.get(imageName)).inspect()
    const file = join(fixture.root, 'content/blobs/sha256', layers[0]!.digest.slice(7))
    withFile(file, (fd) => writeSync(fd, 'x', 1000))
    expect(await kindsOf(engine)).toEqual([])
    expect(await kindsOf(engine, { contents: true })).toEqual(['damaged_blob'])
    expect(await kindsOf(engine, { contents: true, repair: true })).toEqual([
      'damaged_blob repaired',
      'incomplete_image',
    ])
    await engine.images.load(fixture.tarball)
    expect(await kindsOf(engine, { contents: true })).toEqual([])
  })

  test('a container without its files is reported, and can be removed', async () => {
    await using engine = await open()
    const container = await engine.containers.create({ image: imageName, networks: 'none', lifetime: 'detached' })
    rmSync(join(fixture.root, 'containers', container.id), { recursive: true })
    expect(await kindsOf(engine)).toEqual(['missing_container_directory', 'outdated_container_copy'])
    expect(await kindsOf(engine, { repair: true })).toEqual([
      'missing_container_directory repaired',
      'outdated_container_copy repaired',
    ])
    expect(await kindsOf(engine)).toEqual([])
    await container.remove()
    expect(await kindsOf(engine)).toEqual([])
  })

  test('layers that are gone are unpacked again when a container needs them', async () => {
    await using engine = await open()
    for await (const container of engine.containers.list()) await container.remove({ force: true })
    {
      using state = openState(fixture.root)
      state.db.run('DELETE FROM snapshots')
    }
    for (const driver of ['overlay2', 'vfs'])
      rmSync(join(fixture.root, 'storage', driver, 'snapshots'), { recursive: true, force: true })
    for (const driver of readdirSync(join(fixture.root, 'storage')))
      mkdirSync(join(fixture.root, 'storage', driver, 'snapshots'), { recursive: true })
    expect(await kindsOf(engine)).toEqual([])
    await using again = await engine.containers.run({ image: imageName, networks: 'none', command: ['true'] })
    expect(await again.wait()).toMatchObject({ exitCode: 0 })
  })
})
