import assert from 'node:assert/strict'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isEngineError } from '../../errors/engine-error.ts'
import type { SuiteGroup } from './suite.ts'
import { draftId, failsWith, type StorageCase, snapshotId } from './suite-case.ts'

const mebibyte = 1 << 20

/**
 * Whether a file of that size can be written. By a program without CAP_SYS_RESOURCE, like those in containers: with it
 * ext4 and others do not keep limits.
 */
async function fills({ host }: StorageCase, root: string, name: string, mebibytes: number): Promise<boolean> {
  const file = join(root, name)
  const writer = ['dd', 'if=/dev/zero', `of=${file}`, 'bs=1M', `count=${mebibytes}`, 'conv=fsync']
  const { exitCode, stderr } = await host.run('setpriv', ['--bounding-set=-sys_resource', ...writer], {
    accept: [0, 1],
    env: { LC_ALL: 'C' },
  })
  if (exitCode === 0) return true
  assert.match(stderr, /Disk quota exceeded|No space left/)
  rmSync(file)
  return false
}

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
        const mounts = await prepared
        const fill = (name: string, mebibytes: number) =>
          given.mounted(mounts, (root) => fills(given, root, name, mebibytes))
        assert.equal(await fill('fits', 2), true)
        assert.equal(await fill('too-much', 8), false, 'the limit is not kept')
        const other = await driver.prepare(draftId('other'), snapshotId('s1'))
        assert.equal(
          await given.mounted(other, (root) => fills(given, root, 'file', 8)),
          true,
          'another draft is limited',
        )
        await given.reopen()
        assert.deepEqual(await given.driver.mounts(draftId('d')), mounts)
        assert.equal(await fill('too-much', 8), false, 'the limit is lost with a reopen')
        assert(given.driver.resize, 'a driver with quotas can change them')
        await failsWith('unsupported', given.driver.resize(draftId('other'), mebibyte))
        await given.driver.resize(draftId('d'), 64 * mebibyte)
        assert.equal(await fill('too-much', 8), true, 'the new limit is not known')
        await given.driver.commit(draftId('d'), snapshotId('s2'))
        const above = await given.driver.prepare(draftId('above'), snapshotId('s2'), { quotaBytes: 4 * mebibyte })
        const fillAbove = (mebibytes: number) => given.mounted(above, (root) => fills(given, root, 'new', mebibytes))
        assert.equal(await fillAbove(2), true, 'the parent counts')
        assert.equal(await fillAbove(8), false)
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
