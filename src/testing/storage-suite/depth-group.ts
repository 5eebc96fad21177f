import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SuiteGroup } from './suite.ts'
import { draftId, failsWith, snapshotId } from './suite-case.ts'

export const depthGroup: SuiteGroup = {
  name: 'depth',
  checks: ({ depth = 64 }) => [
    [
      'shows every layer of a deep stack',
      async (given) => {
        const layers = Math.min(depth, given.driver.capabilities.maxDepth)
        let parent: string | null = null
        for (let i = 0; i < layers; i++) {
          const name = `s${i}`
          await given.layer(name, parent, (root) => writeFileSync(join(root, name), name))
          parent = name
        }
        const top = parent!
        await given.look(top, (root) => assert.equal(readdirSync(root).length, layers))
        await given.mounted(await given.driver.prepare(draftId('d'), snapshotId(top)), (root) => {
          writeFileSync(join(root, 's0'), 'changed at the top')
          assert.equal(readdirSync(root).length, layers)
        })
        if (layers < given.driver.capabilities.maxDepth) return
        await given.driver.commit(draftId('d'), snapshotId('beyond'))
        await failsWith('failed_precondition', given.driver.prepare(draftId('e'), snapshotId('beyond')))
      },
    ],
  ],
}
