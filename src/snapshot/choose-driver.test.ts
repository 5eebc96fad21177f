import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AnyDriverDefinition, Probe } from '../driver-kit/definition.ts'
import type { Diagnostic } from '../driver-kit/diagnostics.ts'
import type { DriverHost } from '../driver-kit/driver-host.ts'
import { parseOptionObject } from '../driver-kit/options.ts'
import { RootPaths } from '../state/paths.ts'
import { chooseStorageDriver } from './choose-driver.ts'

let paths: RootPaths
let reported: Diagnostic[]

beforeEach(() => {
  paths = new RootPaths(mkdtempSync(join(tmpdir(), 'choose-')))
  reported = []
})
afterEach(() => rmSync(paths.root, { recursive: true, force: true }))

const usable: Probe = { usable: true, facts: { fact: 'yes' }, warnings: ['It is slow.'] }
const lacking: Probe = { usable: false, missing: [{ what: 'kernel moonfs', hint: 'modprobe moonfs' }] }

const define = (name: string, probe: Probe = usable): AnyDriverDefinition => ({
  type: 'storage',
  name,
  kit: '^1.0.0',
  parseOptions: (input) => parseOptionObject(name, input, { size: Number }),
  probe: async () => probe,
  open: async () => {
    throw new Error('not opened here')
  },
})

const choose = (
  definitions: readonly AnyDriverDefinition[],
  driver?: string,
  driverOptions?: unknown,
  holding: readonly string[] = [],
) =>
  chooseStorageDriver({
    holdsTrees: (name) => holding.includes(name),
    host: {} as DriverHost,
    paths,
    definitions,
    driver,
    driverOptions,
    diagnostics: (diagnostic) => reported.push(diagnostic),
  })

const used = (name: string) => {
  mkdirSync(paths.storage(name), { recursive: true })
  writeFileSync(join(paths.storage(name), 'format.json'), '{}')
}

describe('the choice of the storage driver', () => {
  test('takes the first usable one, and reports why not those before it', async () => {
    const chosen = await choose([define('moon', lacking), define('sun'), define('star')])
    expect(chosen.definition.name).toBe('sun')
    expect(chosen.facts).toEqual({ fact: 'yes' })
    expect(reported.map(({ message }) => message)).toEqual([
      expect.stringMatching(/"moon" does not work here, "sun" is used.*kernel moonfs \(modprobe moonfs\)/),
      'It is slow.',
    ])
    expect(existsSync(paths.storage('moon'))).toBe(false)
    expect(readdirSync(paths.storage('sun'))).toEqual([])
  })

  test('goes on with the one that the data was made with', async () => {
    used('star')
    expect((await choose([define('sun'), define('star')])).definition.name).toBe('star')
  })

  test('what an interrupted trial left is no data', async () => {
    mkdirSync(join(paths.storage('star'), 'probe-1234'), { recursive: true })
    expect((await choose([define('sun'), define('star')])).definition.name).toBe('sun')
  })

  test('never falls back from it', async () => {
    used('moon')
    await expect(choose([define('sun'), define('moon', lacking)])).rejects.toMatchObject({
      code: 'storage.unusable_driver',
      message: expect.stringMatching(/kernel moonfs.*no other driver was tried/),
    })
    expect(existsSync(join(paths.storage('moon'), 'format.json'))).toBe(true)
  })

  test('refuses data of several drivers, unless one is named', async () => {
    used('sun')
    used('star')
    await expect(choose([define('sun'), define('star')])).rejects.toMatchObject({
      code: 'storage.ambiguous_driver',
      message: expect.stringMatching(/star, sun/),
    })
    expect((await choose([define('sun'), define('star')], 'sun')).definition.name).toBe('sun')
  })

  test('goes on with the one that holds something when the others were emptied', async () => {
    used('sun')
    used('star')
    const chosen = await choose([define('sun'), define('star')], undefined, undefined, ['star'])
    expect(chosen.definition.name).toBe('star')
  })

  test('refuses data of a driver that is not registered', async () => {
    used('gone')
    await expect(choose([define('sun')])).rejects.toMatchObject({
      code: 'storage.unknown_driver',
      message: expect.stringMatching(/"gone".*known: sun/),
    })
  })

  test('a named one is taken or refused', async () => {
    await expect(choose([define('sun'), define('moon', lacking)], 'moon')).rejects.toMatchObject({
      code: 'storage.unusable_driver',
      details: { missing: [{ what: 'kernel moonfs', hint: 'modprobe moonfs' }] },
    })
    await expect(choose([define('sun')], 'sum')).rejects.toMatchObject({
      code: 'storage.unknown_driver',
      message: expect.stringMatching(/Known are: sun/),
    })
  })

  test.each([
    ['overlay', /inodes.*"overlay2"/],
    ['aufs', /never became part of Linux.*"overlay2"/],
    ['btrfs', /data root on btrfs.*Use "overlay2"/],
    ['zfs', /Use "overlay2"/],
    ['devicemapper', /Use "overlay2"/],
    ['windowsfilter', /needs Windows.*"overlay2"/],
  ])('tells what became of %s', async (name, message) => {
    await expect(choose([define('overlay2')], name)).rejects.toMatchObject({
      code: 'storage.removed_driver',
      kind: 'unsupported',
      message: expect.stringMatching(message),
    })
  })

  test('tells what became of the driver of an old root', async () => {
    used('aufs')
    await expect(choose([define('overlay2')])).rejects.toMatchObject({
      code: 'storage.removed_driver',
      message: expect.stringMatching(/was made with storage driver "aufs".*Use "overlay2".*remove .*aufs/),
    })
    expect((await choose([define('overlay2')], 'overlay2')).definition.name).toBe('overlay2')
  })

  test('a named one does not hide what another one holds', async () => {
    used('moon')
    const both = [define('sun'), define('moon')]
    await expect(choose(both, 'sun', undefined, ['moon'])).rejects.toMatchObject({
      code: 'storage.other_driver',
      kind: 'conflict',
      message: expect.stringMatching(/was made with storage driver "moon".*Leave storage.driver out/),
      details: { wanted: 'sun', prior: ['moon'] },
    })
    expect(existsSync(paths.storage('sun'))).toBe(false)
    expect((await choose(both, 'moon', undefined, ['moon'])).definition.name).toBe('moon')
    expect((await choose(both, undefined, undefined, ['moon'])).definition.name).toBe('moon')
    expect((await choose(both, 'sun')).definition.name).toBe('sun')
  })

  test('lists what every driver lacks when none works', async () => {
    await expect(choose([define('moon', lacking), define('star', lacking)])).rejects.toMatchObject({
      code: 'storage.none_usable',
      message: expect.stringMatching(/"moon" lacks.*"star" lacks/),
    })
    await expect(choose([])).rejects.toMatchObject({ code: 'storage.none_usable' })
  })

  test('refuses options that the driver does not know', async () => {
    await expect(choose([define('sun')], 'sun', { colour: 1 })).rejects.toMatchObject({ code: 'call.unknown_option' })
    expect((await choose([define('sun')], 'sun', { size: '5' })).options).toEqual({ size: 5 })
  })
})
