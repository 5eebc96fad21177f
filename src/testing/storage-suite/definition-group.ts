import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { satisfies, validRange } from 'semver'
import { driverKitVersion } from '../../driver-kit/driver-host.ts'
import { isEngineError } from '../../errors/engine-error.ts'
import type { SuiteGroup } from './suite.ts'

export const definitionGroup: SuiteGroup = {
  name: 'definition',
  checks: ({ definition, require = [] }) => [
    [
      'has a name, a type and a fitting kit range',
      async () => {
        assert.equal(definition.type, 'storage')
        assert.match(definition.name, /^[a-z0-9][a-z0-9-]*$/)
        assert(validRange(definition.kit), `kit "${definition.kit}" is no semver range`)
        assert(satisfies(driverKitVersion, definition.kit), `kit "${definition.kit}" excludes ${driverKitVersion}`)
      },
    ],
    [
      'refuses unknown options by name',
      async () => {
        assert.throws(
          () => definition.parseOptions({ 'no-such-option': 1 }),
          (error) => isEngineError(error, { kind: 'invalid_argument' }) && error.message.includes('no-such-option'),
        )
        for (const bad of ['text', 7, []])
          assert.throws(
            () => definition.parseOptions(bad),
            (error) => isEngineError(error, { kind: 'invalid_argument' }),
          )
      },
    ],
    [
      'probes without leaving anything',
      async (given) => {
        const before = [readdirSync(given.context.directory), given.host.mountTable().length]
        const probe = await definition.probe(given.context, given.options)
        assert.equal(probe.usable, true, JSON.stringify(probe))
        assert.deepEqual([readdirSync(given.context.directory), given.host.mountTable().length], before)
      },
    ],
    [
      'declares what the suite requires',
      async ({ driver }) => {
        for (const capability of require) assert.equal(driver.capabilities[capability], true, capability)
        assert(driver.capabilities.maxDepth >= 1)
        assert.equal(driver.name, definition.name)
      },
    ],
    [
      'reports its health',
      async ({ driver }) => {
        const { state, messages } = await driver.health()
        assert(state === 'good' || messages.length > 0, 'a driver that is not well must say why')
      },
    ],
  ],
}
