import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { diagnoseRecords } from './diagnose-records.ts'
import { finishRebuild, openState } from './open-state.ts'
import { RootPaths } from './paths.ts'
import { reserveRecords } from './records-lock.ts'
import { setRecordsAside } from './set-aside.ts'

let root = ''
let paths: RootPaths

beforeEach(() => {
  root = join(mkdtempSync(join(tmpdir(), 'tsc-state-')), 'root')
  paths = new RootPaths(root)
})
afterEach(() => rmSync(join(root, '..'), { recursive: true, force: true }))

/** Of this process. */
const openFiles = () =>
  readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  })

const idOf = () => {
  using state = openState(root)
  return state.rootId
}

describe('a data root', () => {
  test('is made, and keeps its id', () => {
    expect(diagnoseRecords(paths)).toBe('good')
    const id = idOf()
    expect(id).toMatch(/^[0-9a-f]{12}$/)
    expect(idOf()).toBe(id)
    expect(diagnoseRecords(paths)).toBe('good')
  })

  test('of before root.json gets one, and so does one whose root.json is damaged', () => {
    const id = idOf()
    rmSync(paths.rootFile)
    expect(idOf()).toBe(id)
    expect(JSON.parse(readFileSync(paths.rootFile, 'utf8'))).toEqual({ rootId: id })
    writeFileSync(paths.rootFile, '{"rootI')
    expect(idOf()).toBe(id)
    expect(JSON.parse(readFileSync(paths.rootFile, 'utf8'))).toEqual({ rootId: id })
  })

  test.each([
    ['is gone', () => rmSync(paths.database)],
    ['is empty', () => truncateSync(paths.database)],
    ['holds something else', () => writeFileSync(paths.database, 'x'.repeat(9000))],
    ['is cut within the first page', () => truncateSync(paths.database, 700)],
    ['belongs to another root', () => writeFileSync(paths.rootFile, '{"rootId":"0123456789ab"}')],
  ])('whose state.db %s is refused and nothing is made in its place', (_, damage) => {
    idOf()
    damage()
    const names = () => readdirSync(root).filter((name) => !/-(wal|shm)$/.test(name))
    const before = names()
    expect(() => openState(root)).toThrow(expect.objectContaining({ code: 'state.corrupt', kind: 'data_loss' }))
    expect(names()).toEqual(before)
    expect(openFiles().filter((path) => path.startsWith(root))).toEqual([])
  })

  test('on a network file system is refused by its name, and nothing is made', () => {
    expect(() => openState(root, 'normal', () => 'nfs')).toThrow(
      expect.objectContaining({ code: 'state.network_filesystem', message: expect.stringContaining('(nfs)') }),
    )
    expect(existsSync(root)).toBe(false)
  })

  test('whose directory holds other things is refused', () => {
    mkdirSync(root)
    writeFileSync(join(root, 'precious'), '')
    expect(() => openState(root)).toThrow(expect.objectContaining({ code: 'state.not_a_root' }))
    expect(readdirSync(root)).toEqual(['precious'])
  })
})

describe('records that are built anew', () => {
  test('keep the id, cannot be opened before they are whole, and number events on', () => {
    const id = idOf()
    const before = openState(root)
    before.db.run("INSERT INTO events (time, type, action, subject, attributes) VALUES (0, 'engine', 'x', '', '{}')")
    before[Symbol.dispose]()
    const aside = setRecordsAside(paths)
    expect(existsSync(aside!)).toBe(true)
    {
      using state = openState(root, 'rebuild')
      expect(state.rootId).toBe(id)
      expect(diagnoseRecords(paths)).toBe('unfinished')
      expect(() => openState(root)).toThrow(expect.objectContaining({ code: 'state.rebuilding' }))
    }
    {
      using state = openState(root, 'rebuild')
      finishRebuild(state.db)
    }
    using state = openState(root)
    state.db.run("INSERT INTO events (time, type, action, subject, attributes) VALUES (0, 'engine', 'x', '', '{}')")
    expect(state.db.get<{ sequence: number }>('SELECT sequence FROM events')!.sequence).toBeGreaterThan(1_700_000_000)
  })

  test('take their id from a container when root.json is lost, too', () => {
    idOf()
    mkdirSync(paths.container('c1'))
    writeFileSync(join(paths.container('c1'), 'config.json'), '{"linux":{"cgroupsPath":"/x/root.00aa11bb22cc/c1"}}')
    rmSync(paths.rootFile)
    setRecordsAside(paths)
    using state = openState(root, 'rebuild')
    expect(state.rootId).toBe('00aa11bb22cc')
  })

  test('only while nobody has the root open, and nobody opens it meanwhile', async () => {
    {
      using _open = openState(root)
      await expect(reserveRecords(paths)).rejects.toMatchObject({
        code: 'state.in_use',
        details: { pids: [process.pid] },
      })
    }
    using _lock = await reserveRecords(paths)
    expect(() => openState(root)).toThrow(expect.objectContaining({ code: 'state.rebuilding' }))
  })

  test('setting the damaged file aside goes on where a kill left it: log and database keep one name', () => {
    idOf()
    writeFileSync(`${paths.database}-wal`, 'log')
    writeFileSync(join(root, 'state.damaged-then.db-shm'), 'index')
    expect(setRecordsAside(paths)).toBe(join(root, 'state.damaged-then.db'))
    expect(readFileSync(join(root, 'state.damaged-then.db-wal'), 'utf8')).toBe('log')
    expect(setRecordsAside(paths)).toBe(null)
  })
})
