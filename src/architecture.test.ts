import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const repository = resolve(import.meta.dirname, '..')
const src = join(repository, 'src')

/** A folder imports only folders of lower rank, types included. */
const ranks: Readonly<Record<string, number>> = {
  errors: 0,
  lifetime: 1,
  progress: 2,
  oci: 1,
  reference: 2,
  host: 2,
  state: 3,
  'driver-kit': 4,
  content: 5,
  registry: 6,
  archive: 6,
  image: 6,
  layer: 6,
  snapshot: 7,
  logging: 7,
  network: 7,
  volume: 7,
  runtime: 7,
  transfer: 8,
  holder: 8,
  container: 9,
  build: 10,
  builtins: 10,
  engine: 11,
  monitor: 12,
  testing: 12,
  index: 13,
  cli: 13,
}

const sources = (folder: string): string[] =>
  readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => join(folder, name))

// Children that a test starts and fixtures that several share are named so.
const isTest = (file: string) => /(\.test|-child|-fixture)\.ts$/.test(file) || file.startsWith('src/testing/system')

const importsOf = (file: string): string[] =>
  [...readFileSync(join(repository, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((m) => m[1]!)

/** Files that are loaded together with one: neither types alone nor `import()`. */
function loadedBy(file: string): string[] {
  const text = readFileSync(join(repository, file), 'utf8')
  return [...text.matchAll(/^(?:import|export) (?!type\b)([^;']*?) from '(\.[^']+)'$/gm)]
    .filter(([, names]) => !/^\{(\s*type [^,}]+,?)+\s*\}$/.test(names!))
    .map(([, , specifier]) => relative(repository, resolve(repository, dirname(file), specifier!)))
}

const roomOf = (file: string): string => relative(src, join(repository, file)).split('/')[0]!.replace(/\.ts$/, '')

const all = sources('src').filter((file) => !isTest(file) && roomOf(file) !== 'architecture.test')

describe('architecture', () => {
  test('every folder has a rank and imports only lower ranks', () => {
    const offences: string[] = []
    for (const file of all) {
      const room = roomOf(file)
      const rank = ranks[room]
      if (rank === undefined) offences.push(`${file}: folder ${room} has no rank`)
      for (const specifier of importsOf(file)) {
        if (!specifier.startsWith('.')) continue
        const target = relative(repository, resolve(repository, dirname(file), specifier))
        if (!target.startsWith('src/')) {
          if (room !== 'builtins') offences.push(`${file} imports ${target}: only builtins.ts imports drivers`)
          continue
        }
        const other = roomOf(target)
        if (other !== room && (ranks[other] ?? Number.POSITIVE_INFINITY) >= (rank ?? 0))
          offences.push(`${file} (${room}) imports ${target} (${other})`)
      }
    }
    expect(offences).toEqual([])
  })

  test('only host spawns processes or loads koffi', () => {
    const offences = all.filter(
      (file) =>
        roomOf(file) !== 'host' && importsOf(file).some((i) => i === 'koffi' || /^(node:)?child_process$/.test(i)),
    )
    expect(offences).toEqual([])
  })

  test('only wiring imports tsyringe', () => {
    const offences = all.filter(
      (file) =>
        file !== 'src/engine/wiring.ts' &&
        importsOf(file).some((i) => i === 'tsyringe' || i.startsWith('reflect-metadata')),
    )
    expect(offences).toEqual([])
  })

  test('drivers import the driver kit only', () => {
    const offences = sources('drivers')
      .filter((file) => !isTest(file))
      .flatMap((file) =>
        importsOf(file)
          .filter((i) => !(i === 'tscontainer/driver-kit' || i.startsWith('./') || i.startsWith('node:')))
          .map((i) => `${file} imports ${i}`),
      )
    expect(offences).toEqual([])
  })

  test('nothing is named after what it is not', () => {
    const offences = [...sources('src'), ...sources('drivers')].filter((file) =>
      /(^|[/-])(utils?|helpers?|common|misc)([/.-]|$)/.test(file),
    )
    expect(offences).toEqual([])
  })

  test('files can be read in one sitting', () => {
    const offences = [...all, ...sources('drivers').filter((file) => !isTest(file))]
      .map((file) => ({ file, lines: readFileSync(join(repository, file), 'utf8').split('\n').length }))
      .filter(({ lines }) => lines > 350)
      .map(({ file, lines }) => `${file}: ${lines} lines`)
    expect(offences).toEqual([])
  })

  test('importing the package loads no more than its facade: the engine comes with Engine.open', () => {
    const loaded = new Set(['src/index.ts'])
    for (const file of loaded) for (const imported of loadedBy(file)) loaded.add(imported)
    const rooms = new Set([...loaded].map(roomOf))
    for (const heavy of ['host', 'state', 'snapshot', 'network', 'transfer', 'builtins'])
      expect(rooms).not.toContain(heavy)
    expect([...loaded].filter((file) => /tsyringe|semver/.test(importsOf(file).join()))).toEqual([])
  })
})
