import assert from 'node:assert/strict'
import type { SuiteCheck } from '../suite.ts'
import { draftId, snapshotId } from '../suite-case.ts'

/**
 * A crash between noting a child and making it must not keep the parent for ever, and must not be mistaken for a child
 * when the parent is removed.
 */
export const removedWhileStaged: SuiteCheck = [
  'a draft that a crash kept from being made does not hold its parent',
  async (given) => {
    await given.layer('s1', null)
    for (let at = 1; at <= 6; at++) {
      const plan = given.arm(at, 'crash-before')
      const draft = draftId(`d${at}`)
      await Promise.race([given.driver.prepare(draft, snapshotId('s1')).catch(() => {}), plan.crashed])
      await given.crash()
      await given.driver.remove(draft)
    }
    await given.driver.remove(snapshotId('s1'))
    assert.deepEqual(await given.listed(), [])
  },
]
