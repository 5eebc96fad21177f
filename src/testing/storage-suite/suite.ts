import assert from 'node:assert/strict'
import { abortGroup } from './abort-group.ts'
import { capabilityGroup } from './capability-group.ts'
import { concurrencyGroup } from './concurrency-group.ts'
import { crashGroup } from './crash-group.ts'
import { definitionGroup } from './definition-group.ts'
import { depthGroup } from './depth-group.ts'
import { disposalGroup } from './disposal-group.ts'
import { fileTruthGroup } from './file-truth-group.ts'
import { layerTravelGroup } from './layer-travel-group.ts'
import { layerTruthGroup } from './layer-truth-group.ts'
import { lifeCycleGroup } from './life-cycle-group.ts'
import { modelGroup } from './model-group.ts'
import { regressionGroup } from './regressions/index.ts'
import { removalGroup } from './removal-group.ts'
import { reopenGroup } from './reopen-group.ts'
import { StorageCase } from './suite-case.ts'
import type { StorageSuiteOptions } from './suite-options.ts'
import { TemporaryContexts } from './temporary-context.ts'

/** One check by name. */
export type SuiteCheck = readonly [name: string, check: (given: StorageCase) => Promise<void>]

export interface SuiteGroup {
  readonly name: string
  checks(suite: StorageSuiteOptions<unknown>): readonly SuiteCheck[]
}

const groups: readonly SuiteGroup[] = [
  definitionGroup,
  lifeCycleGroup,
  fileTruthGroup,
  layerTruthGroup,
  layerTravelGroup,
  depthGroup,
  capabilityGroup,
  removalGroup,
  concurrencyGroup,
  reopenGroup,
  crashGroup,
  abortGroup,
  disposalGroup,
  modelGroup,
  regressionGroup,
]

/**
 * Registers the conformance checks for storage drivers with a test runner. Every check gets a fresh root; needs root
 * and the right to mount. A driver that passes works in an engine.
 *
 * ```ts
 * import { describe, test } from 'node:test'
 * storageDriverSuite({ definition: myDriver, runner: { describe, test } })
 * ```
 */
export function storageDriverSuite<Options>(suite: StorageSuiteOptions<Options>): void {
  const { runner, definition, variants = [{ name: 'default options', options: undefined }] } = suite
  const skipped = new Map(suite.skip?.map(({ test, reason }) => [test, reason]))
  const known = new Set<string>()
  const temporary = new TemporaryContexts(suite.below)
  const createContext = suite.createContext ?? (async () => temporary.create())
  for (const variant of variants)
    runner.describe(`storage driver ${definition.name}, ${variant.name}`, () => {
      for (const group of groups)
        runner.describe(group.name, () => {
          for (const [name, check] of group.checks(suite as StorageSuiteOptions<unknown>)) {
            known.add(name)
            if (skipped.has(name)) continue
            runner.test(name, async () => {
              await using given = await StorageCase.create(suite, await createContext(), variant.options)
              await check(given as StorageCase)
            })
          }
        })
      runner.test('skipped checks exist and have a reason', async () => {
        await temporary[Symbol.asyncDispose]()
        for (const [name, reason] of skipped) {
          assert(known.has(name), `there is no check "${name}" to skip`)
          assert(reason.length >= 10, `the reason for skipping "${name}" says nothing`)
        }
      })
    })
}
