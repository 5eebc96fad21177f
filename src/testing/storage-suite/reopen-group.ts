import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SuiteGroup } from './suite.ts'
import { draftId, type StorageCase, snapshotId } from './suite-case.ts'

const steps: readonly (readonly [expected: readonly string[], step: (given: StorageCase) => Promise<unknown>])[] = [
  [['draft d1 < -'], (given) => given.driver.prepare(draftId('d1'), null)],
  [
    ['draft d1 < -'],
    async (given) =>
      given.mounted(await given.driver.mounts(draftId('d1')), (root) => writeFileSync(join(root, 'one'), '')),
  ],
  [['snapshot s1 < -'], (given) => given.driver.commit(draftId('d1'), snapshotId('s1'))],
  [['draft d2 < s1', 'snapshot s1 < -'], (given) => given.driver.prepare(draftId('d2'), snapshotId('s1'))],
  [
    ['draft d2 < s1', 'snapshot s1 < -'],
    async (given) =>
      given.mounted(await given.driver.mounts(draftId('d2')), (root) => writeFileSync(join(root, 'two'), '')),
  ],
  [['snapshot s1 < -', 'snapshot s2 < s1'], (given) => given.driver.commit(draftId('d2'), snapshotId('s2'))],
  [
    ['snapshot s1 < -', 'snapshot s2 < s1', 'view v < s2'],
    (given) => given.driver.view(draftId('v'), snapshotId('s2')),
  ],
  [
    ['snapshot s1 < -', 'snapshot s2 < s1', 'view v < s2'],
    async (given) =>
      given.mounted(await given.driver.mounts(draftId('v')), (root) =>
        assert.deepEqual(readdirSync(root).sort(), ['one', 'two']),
      ),
  ],
  [['snapshot s1 < -', 'snapshot s2 < s1'], (given) => given.driver.remove(draftId('v'))],
  [['snapshot s1 < -'], (given) => given.driver.remove(snapshotId('s2'))],
  [[], (given) => given.driver.remove(snapshotId('s1'))],
]

const walk = async (given: StorageCase, between: () => Promise<unknown>) => {
  for (const [expected, step] of steps) {
    await step(given)
    assert.deepEqual(await given.listed(), expected)
    const drafts = expected.filter((line) => !line.startsWith('snapshot')).map((line) => draftId(line.split(' ')[1]!))
    const before = await Promise.all(drafts.map((draft) => given.driver.mounts(draft)))
    await between()
    assert.deepEqual(await given.listed(), expected, 'after opening again')
    assert.deepEqual(await Promise.all(drafts.map((draft) => given.driver.mounts(draft))), before)
  }
}

export const reopenGroup: SuiteGroup = {
  name: 'opening again',
  checks: () => [
    ['shows the same after every step', (given) => walk(given, () => given.reopen())],
    ['shows the same after every step when it was not disposed of', (given) => walk(given, () => given.crash())],
  ],
}
