import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isEngineError } from '../../errors/engine-error.ts'
import type { SuiteGroup } from './suite.ts'
import { draftId, failsWith, snapshotId } from './suite-case.ts'

const mebibyte = 1 << 20

export const capabilityGroup: SuiteGroup = {
  name: 'capabilities',
  checks: () => [
    [
      'limits the size of a draft, or says that it cannot',
      async (given) => {
        const { driver } = given
        await given.layer('s1', null)
        const prepared = driver.prepare(draftId('d'), snapshotId('s1'), { quotaBytes: 4 * mebibyte })
        if (!driver.capabilities.quota) {
          await failsWith('unsupported', prepared)
          assert.deepEqual(await given.listed(), ['snapshot s1 < -'], 'the refused draft is there')
          await driver.prepare(draftId('d'), snapshotId('s1'))
          if (driver.resize) await failsWith('unsupported', driver.resize(draftId('d'), mebibyte))
          return
        }
        const fill = (name: string, size: number) => (root: string) =>
          writeFileSync(join(root, name), Buffer.alloc(size, 1))
        const mounts = await prepared
        await given.mounted(mounts, fill('fits', 2 * mebibyte))
        await given.mounted(mounts, (root) =>
          assert.throws(
            () => fill('too-much', 8 * mebibyte)(root),
            (error: NodeJS.ErrnoException) => ['EDQUOT', 'ENOSPC'].includes(error.code ?? ''),
          ),
        )
        assert(driver.resize, 'a driver with quotas can change them')
        await driver.resize(draftId('d'), 64 * mebibyte)
        await given.mounted(mounts, fill('more', 8 * mebibyte))
      },
    ],
    [
      'hints at changes, or says that it cannot',
      async (given) => {
        const { driver } = given
        await given.layer('s1', null)
        await given.mounted(await driver.prepare(draftId('d'), snapshotId('s1')), (root) =>
          writeFileSync(join(root, 'new'), 'x'),
        )
        if (!driver.capabilities.changeHint) {
          if (driver.changes) await failsWith('unsupported', driver.changes(draftId('d')))
          return
        }
        const hint = await driver.changes?.(draftId('d'))
        assert(hint, 'changeHint is declared, and there is no hint')
        assert(readdirSync(hint.directory).includes('new'), 'the hint leads elsewhere')
        if (hint.format === 'overlay') for (const directory of hint.lower) readdirSync(directory)
        else if (hint.parent !== null) assert(!readdirSync(hint.parent).includes('new'))
      },
    ],
    [
      'freezes a draft that is not mounted, or says that it cannot',
      async (given) => {
        const { driver } = given
        await given.layer('s1', null)
        const draft = draftId('d')
        await given.mounted(await driver.prepare(draft, snapshotId('s1')), (root) => writeFileSync(join(root, 'a'), ''))
        if (!driver.freeze) return assert.equal(driver.capabilities.cloneDraft, false)
        try {
          await driver.freeze(draft, snapshotId('f'))
        } catch (error) {
          // Without the capability it may work at a cost, or be refused.
          assert(!driver.capabilities.cloneDraft && isEngineError(error, { kind: 'unsupported' }), String(error))
          return
        }
        await given.mounted(await driver.mounts(draft), (root) => writeFileSync(join(root, 'b'), ''))
        await given.look('f', (root) => assert.deepEqual(readdirSync(root), ['a']))
        await given.mounted(await driver.mounts(draft), (root) =>
          assert.deepEqual(readdirSync(root).sort(), ['a', 'b']),
        )
      },
    ],
  ],
}
