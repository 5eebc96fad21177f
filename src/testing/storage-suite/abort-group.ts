import assert from 'node:assert/strict'
import { isEngineError } from '../../errors/engine-error.ts'
import { countCalls, type FaultScenario, faultScenarios } from './fault-scenarios.ts'
import type { SuiteCheck, SuiteGroup } from './suite.ts'
import { draftId, failsWith, snapshotId } from './suite-case.ts'

const aborted =
  (scenario: FaultScenario): SuiteCheck[1] =>
  async (given) => {
    const calls = await countCalls(given, scenario)
    for (let at = 1; at <= calls; at++) {
      await scenario.before(given, at)
      const before = await given.listed()
      const plan = given.arm(at, 'abort')
      const [result] = await Promise.allSettled([scenario.call(given, at, { signal: plan.signal })])
      plan.disarm()
      const now = await given.listed()
      if (result.status === 'rejected') {
        assert(isEngineError(result.reason, { kind: 'aborted' }), String(result.reason))
        assert.equal(result.reason.name, 'AbortError')
        assert.deepEqual(now, before, 'an aborted call has left something')
        await scenario.call(given, at, {})
      } else assert.notDeepEqual(now, before, 'the call succeeded and did nothing')
    }
  }

export const abortGroup: SuiteGroup = {
  name: 'abort',
  checks: () => [
    ...faultScenarios.map((one): SuiteCheck => [`${one.name}, aborted at every call of the host`, aborted(one)]),
    [
      'does nothing when the signal has already fired',
      async (given) => {
        const { driver } = given
        await given.layer('s1', null)
        await driver.prepare(draftId('d'), snapshotId('s1'))
        const before = await given.listed()
        const signal = AbortSignal.abort(new Error('why'))
        for (const work of [
          () => driver.prepare(draftId('x'), snapshotId('s1'), { signal }),
          () => driver.view(draftId('x'), snapshotId('s1'), { signal }),
          () => driver.mounts(draftId('d'), { signal }),
          () => driver.commit(draftId('d'), snapshotId('x'), { signal }),
          () => driver.remove(draftId('d'), { signal }),
          () => driver.stat(draftId('d'), { signal }),
          () => driver.usage(draftId('d'), { signal }),
          () => driver.health({ signal }),
          async () => {
            for await (const _ of driver.list({ signal }));
          },
        ]) {
          const error = await failsWith('aborted', work())
          assert.equal((error.cause as Error).message, 'why')
        }
        assert.deepEqual(await given.listed(), before)
      },
    ],
  ],
}
