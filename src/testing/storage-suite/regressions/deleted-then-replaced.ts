import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SuiteCheck } from '../suite.ts'

/**
 * A directory deleted in one layer and made anew two layers above must not show what the first layer had in it: the
 * mark of the deletion lies in a layer between them.
 */
export const deletedThenReplaced: SuiteCheck = [
  'a directory deleted and made anew layers later is empty',
  async (given) => {
    await given.layer('s1', null, (root) => {
      mkdirSync(join(root, 'dir'))
      writeFileSync(join(root, 'dir/old'), '')
    })
    await given.layer('s2', 's1', (root) => rmSync(join(root, 'dir'), { recursive: true }))
    await given.layer('s3', 's2', (root) => writeFileSync(join(root, 'other'), ''))
    await given.layer('s4', 's3', (root) => mkdirSync(join(root, 'dir')))
    await given.look('s4', (root) => assert.deepEqual(readdirSync(join(root, 'dir')), []))
  },
]
