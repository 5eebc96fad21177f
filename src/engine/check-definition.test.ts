import { describe, expect, test } from 'vitest'
import { builtinDrivers } from '../builtins.ts'
import { checkDefinition } from './check-definition.ts'
import { checkEngineOptions } from './engine-options.ts'

const good = {
  type: 'log',
  name: 'mine',
  kit: '^1.0.0',
  parseOptions: () => ({}),
  probe: async () => ({ usable: true, facts: {} }),
  open: async () => {
    throw new Error('never opened here')
  },
} as const

describe('driver definitions', () => {
  // They are not checked when an engine opens.
  test.each(builtinDrivers.map((definition) => [`${definition.type} ${definition.name}`, definition] as const))(
    'the shipped %s fits this kit',
    (_name, definition) => checkDefinition(definition),
  )

  test.each([
    [null, /no object/],
    ['text', /no object/],
    [{ ...good, type: 'disk' }, /its type must be one of/],
    [{ ...good, name: 'Mine!' }, /its name must be/],
    [{ ...good, open: undefined }, /has no method open/],
    [{ ...good, kit: 'latest' }, /semver range/],
    [{ ...good, kit: undefined }, /semver range/],
  ])('%o is refused with the reason', async (definition, reason) => {
    const drivers = [definition as never]
    await expect(checkEngineOptions({ drivers })).rejects.toMatchObject({ code: 'engine.bad_driver' })
    await expect(checkEngineOptions({ drivers })).rejects.toThrow(reason)
  })

  test('one for another kit is refused with both versions', async () => {
    const drivers = [{ ...good, kit: '^7.1.0' } as never]
    await expect(checkEngineOptions({ drivers })).rejects.toMatchObject({
      code: 'engine.driver_kit_mismatch',
      details: { wanted: '^7.1.0' },
    })
  })
})
