import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SuiteGroup } from './suite.ts'
import { draftId, failsWith, snapshotId } from './suite-case.ts'

export const removalGroup: SuiteGroup = {
  name: 'removal',
  checks: () => [
    [
      'removes drafts, views and snapshots, and ids can be used again',
      async (given) => {
        const { driver } = given
        await given.layer('s1', null)
        await driver.prepare(draftId('d'), snapshotId('s1'))
        await driver.view(draftId('v'), snapshotId('s1'))
        for (const id of ['d', 'v', 's1']) await driver.remove(draftId(id))
        assert.deepEqual(await given.listed(), [])
        for (const id of ['d', 's1']) await failsWith('not_found', driver.stat(draftId(id)))
        await driver.prepare(draftId('s1'), null)
        await given.layer('d', null)
        assert.deepEqual(await given.listed(), ['draft s1 < -', 'snapshot d < -'])
      },
    ],
    [
      'an unknown id is no error',
      async ({ driver }) => {
        await driver.remove(draftId('never'))
        await driver.prepare(draftId('d'), null)
        await driver.remove(draftId('d'))
        await driver.remove(draftId('d'))
      },
    ],
    [
      'a snapshot with children stays, and its children are named',
      async (given) => {
        const { driver } = given
        await given.layer('s1', null, (root) => writeFileSync(join(root, 'file'), 'x'))
        await given.layer('s2', 's1')
        await driver.prepare(draftId('d'), snapshotId('s1'))
        await driver.view(draftId('v'), snapshotId('s1'))
        const error = await failsWith('conflict', driver.remove(snapshotId('s1')))
        assert.deepEqual([...(error.details['children'] as string[])].sort(), ['d', 's2', 'v'])
        await given.look('s2', (root) =>
          assert.doesNotThrow(() => mkdirSync(join(root, 'file', '..'), { recursive: true })),
        )
        for (const id of ['s2', 'd']) await driver.remove(draftId(id))
        await failsWith('conflict', driver.remove(snapshotId('s1')))
        await driver.remove(draftId('v'))
        await driver.remove(snapshotId('s1'))
        assert.deepEqual(await given.listed(), [])
      },
    ],
    [
      'a committed draft counts as its parent’s child under its new name only',
      async (given) => {
        await given.layer('s1', null)
        await given.driver.prepare(draftId('d'), snapshotId('s1'))
        await given.driver.commit(draftId('d'), snapshotId('s2'))
        const error = await failsWith('conflict', given.driver.remove(snapshotId('s1')))
        assert.deepEqual(error.details['children'], ['s2'])
      },
    ],
    [
      'deletes what a program left there, whatever its mode',
      async (given) => {
        await given.layer('s1', null)
        const mounts = await given.driver.prepare(draftId('d'), snapshotId('s1'))
        await given.mounted(mounts, async (root) => {
          for (let i = 0; i < 300; i++) writeFileSync(join(root, `file-${i}`), '')
          mkdirSync(join(root, 'locked/deep'), { recursive: true })
          writeFileSync(Buffer.concat([Buffer.from(`${root}/locked/deep/`), Buffer.from([0xff])]), '')
          await given.host.run('chmod', ['000', join(root, 'locked/deep'), join(root, 'locked')])
        })
        await given.driver.remove(draftId('d'))
        await given.reopen()
        const { stdout } = await given.host.run('find', [given.context.directory, '-name', 'file-*'])
        assert.equal(stdout, '')
      },
    ],
  ],
}
