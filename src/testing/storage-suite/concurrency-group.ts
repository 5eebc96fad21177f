import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isEngineError } from '../../errors/engine-error.ts'
import type { SuiteGroup } from './suite.ts'
import { draftId, snapshotId } from './suite-case.ts'

export const concurrencyGroup: SuiteGroup = {
  name: 'concurrency',
  checks: ({ definition }) => [
    [
      'makes and removes many drafts at once',
      async (given) => {
        await given.layer('s1', null, (root) => writeFileSync(join(root, 'file'), 'x'))
        const names = Array.from({ length: 30 }, (_, i) => draftId(`d${i}`))
        await Promise.all(names.map((name) => given.driver.prepare(name, snapshotId('s1'))))
        assert.equal((await given.listed()).length, 31)
        await Promise.all(names.map((name) => given.driver.remove(name)))
        assert.deepEqual(await given.listed(), ['snapshot s1 < -'])
      },
    ],
    [
      'lets one of two commits under one name win',
      async (given) => {
        await given.layer('s1', null)
        const drafts = ['a', 'b', 'c'].map(draftId)
        for (const draft of drafts) await given.driver.prepare(draft, snapshotId('s1'))
        const results = await Promise.allSettled(drafts.map((draft) => given.driver.commit(draft, snapshotId('s2'))))
        assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
        for (const result of results)
          if (result.status === 'rejected')
            assert(isEngineError(result.reason, { kind: 'already_exists' }), String(result.reason))
        const listed = await given.listed()
        assert.equal(listed.length, 4, 'the losers keep their drafts')
        assert(listed.includes('snapshot s2 < s1'))
      },
    ],
    [
      'never removes a parent from under a draft',
      async (given) => {
        for (let round = 0; round < 10; round++) {
          const [parent, draft] = [snapshotId(`p${round}`), draftId(`c${round}`)]
          await given.layer(parent, null)
          const [prepared, removed] = await Promise.allSettled(
            round % 2 === 0
              ? [given.driver.prepare(draft, parent), given.driver.remove(parent)]
              : [given.driver.remove(parent), given.driver.prepare(draft, parent)].reverse(),
          )
          const listed = await given.listed()
          if (prepared!.status === 'fulfilled') {
            assert.equal(removed!.status, 'rejected')
            assert(listed.includes(`draft ${draft} < ${parent}`) && listed.includes(`snapshot ${parent} < -`))
          } else {
            assert.equal(removed!.status, 'fulfilled')
            assert(!listed.some((line) => line.includes(parent)), listed.join('\n'))
          }
        }
      },
    ],
    [
      'serves a second opening of the same directory',
      async (given) => {
        await given.layer('s1', null, (root) => writeFileSync(join(root, 'file'), 'x'))
        await given.driver.prepare(draftId('mine'), snapshotId('s1'))
        const other = await definition.open(given.context, given.options)
        try {
          const names = Array.from({ length: 10 }, (_, i) => i)
          await Promise.all([
            ...names.map((i) => given.driver.prepare(draftId(`a${i}`), snapshotId('s1'))),
            ...names.map((i) => other.prepare(draftId(`b${i}`), snapshotId('s1'))),
          ])
          assert.equal((await given.listed()).length, 22)
          await other.commit(draftId('mine'), snapshotId('s2'))
          assert.equal((await given.driver.stat(snapshotId('s2'))).kind, 'snapshot')
          await Promise.all(names.map((i) => given.driver.remove(draftId(`b${i}`))))
        } finally {
          await other[Symbol.asyncDispose]()
        }
        assert.equal((await given.listed()).length, 12)
        await given.reopen()
        assert.equal((await given.listed()).length, 12)
      },
    ],
  ],
}
