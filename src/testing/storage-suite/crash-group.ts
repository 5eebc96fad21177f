import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { countCalls, type FaultScenario, faultScenarios } from './fault-scenarios.ts'
import type { SuiteCheck, SuiteGroup } from './suite.ts'
import type { StorageCase } from './suite-case.ts'

/** The list with a call undone or done. */
function outcomes(before: readonly string[], scenario: FaultScenario, n: number) {
  const after = [...before.filter((line) => !scenario.gone(n).includes(line)), ...scenario.come(n)].sort()
  return { before: before.join('\n'), after: after.join('\n') }
}

async function assertWhole(given: StorageCase, scenario: FaultScenario, n: number, before: readonly string[]) {
  const states = outcomes(before, scenario, n)
  const now = (await given.listed()).join('\n')
  assert(now === states.before || now === states.after, `neither before nor after:\n${now}`)
  for (const line of now.split('\n').filter((one) => one.startsWith('snapshot base')))
    await given.look(line.split(' ')[1]!, (root) => assert.equal(readFileSync(join(root, 'file'), 'utf8'), 'x'))
  return now === states.after
}

const crashed =
  (scenario: FaultScenario): SuiteCheck[1] =>
  async (given) => {
    const calls = await countCalls(given, scenario)
    let n = 1
    for (let at = 1; at <= calls; at++)
      for (const kind of ['crash-before', 'crash-after'] as const) {
        await scenario.before(given, n)
        const before = await given.listed()
        const plan = given.arm(at, kind)
        await Promise.race([scenario.call(given, n, {}).catch(() => {}), plan.crashed])
        await given.crash()
        if (!(await assertWhole(given, scenario, n, before))) await scenario.call(given, n, {})
        assert.equal((await given.listed()).join('\n'), outcomes(before, scenario, n).after, 'trying again')
        n++
      }
  }

const failed =
  (scenario: FaultScenario): SuiteCheck[1] =>
  async (given) => {
    const calls = await countCalls(given, scenario)
    for (let at = 1; at <= calls; at++) {
      await scenario.before(given, at)
      const before = await given.listed()
      const plan = given.arm(at, 'error')
      const result = await Promise.allSettled([scenario.call(given, at, {})])
      plan.disarm()
      const done = await assertWhole(given, scenario, at, before)
      if (result[0].status === 'fulfilled') assert(done, 'the call succeeded and did nothing')
      if (!done) await scenario.call(given, at, {})
    }
  }

export const crashGroup: SuiteGroup = {
  name: 'faults',
  checks: ({ definition }) => [
    ...faultScenarios.map((one): SuiteCheck => [`${one.name}, killed at every call of the host`, crashed(one)]),
    ...faultScenarios.map((one): SuiteCheck => [`${one.name}, failing at every call of the host`, failed(one)]),
    [
      'open, killed at every call of the host',
      async (given) => {
        await given.layer('s1', null)
        const before = await given.listed()
        await given.driver[Symbol.asyncDispose]()
        await given.open()
        const plan = given.arm(0)
        await definition.open(given.context, given.options)
        const calls = plan.calls.length
        for (let at = 1; at <= calls; at++) {
          const armed = given.arm(at, 'crash-before')
          await Promise.race([definition.open(given.context, given.options).catch(() => {}), armed.crashed])
          await given.crash()
          assert.deepEqual(await given.listed(), before)
        }
      },
    ],
  ],
}
