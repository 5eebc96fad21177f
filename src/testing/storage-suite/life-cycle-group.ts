import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SuiteGroup } from './suite.ts'
import { draftId, failsWith, snapshotId } from './suite-case.ts'

const write =
  (name: string, text = name) =>
  (root: string) =>
    writeFileSync(join(root, name), text)

export const lifeCycleGroup: SuiteGroup = {
  name: 'life cycle',
  checks: () => [
    [
      'makes an empty draft with mode 0755 whatever the umask',
      async (given) => {
        const before = process.umask(0o077)
        try {
          const mounts = await given.driver.prepare(draftId('d'), null)
          await given.mounted(mounts, (root) => {
            assert.deepEqual(readdirSync(root), [])
            const { mode, uid, gid } = statSync(root)
            assert.deepEqual([mode & 0o7777, uid, gid], [0o755, 0, 0])
          })
        } finally {
          process.umask(before)
        }
      },
    ],
    [
      'shows the layers below, each changed by those above',
      async (given) => {
        await given.layer('s1', null, (root) => {
          write('one')(root)
          write('both', 'lower')(root)
          mkdirSync(join(root, 'dir'))
          write('dir/gone')(root)
        })
        await given.layer('s2', 's1', (root) => {
          write('two')(root)
          write('both', 'upper')(root)
          rmSync(join(root, 'dir'), { recursive: true })
        })
        await given.look('s2', (root) => {
          assert.deepEqual(readdirSync(root).sort(), ['both', 'one', 'two'])
          assert.equal(readFileSync(join(root, 'both'), 'utf8'), 'upper')
        })
        await given.look('s1', (root) => {
          assert.deepEqual(readdirSync(root).sort(), ['both', 'dir', 'one'])
          assert.equal(readFileSync(join(root, 'both'), 'utf8'), 'lower')
          assert.deepEqual(readdirSync(join(root, 'dir')), ['gone'])
        })
      },
    ],
    [
      'keeps two drafts upon one snapshot apart',
      async (given) => {
        await given.layer('s1', null, write('base'))
        const [a, b] = [draftId('a'), draftId('b')]
        const mounts = [
          await given.driver.prepare(a, snapshotId('s1')),
          await given.driver.prepare(b, snapshotId('s1')),
        ]
        await given.mounted(mounts[0]!, async (rootA) => {
          await given.mounted(mounts[1]!, (rootB) => {
            write('mine')(rootA)
            rmSync(join(rootB, 'base'))
            assert.deepEqual(readdirSync(rootA).sort(), ['base', 'mine'])
            assert.deepEqual(readdirSync(rootB), [])
          })
        })
        await given.look('s1', (root) => assert.deepEqual(readdirSync(root), ['base']))
      },
    ],
    [
      'gives the same mounts again, and what was written is there',
      async (given) => {
        await given.layer('s1', null)
        const mounts = await given.driver.prepare(draftId('d'), snapshotId('s1'))
        assert.deepEqual(await given.driver.mounts(draftId('d')), mounts)
        await given.mounted(mounts, write('kept'))
        await given.mounted(await given.driver.mounts(draftId('d')), (root) =>
          assert.deepEqual(readdirSync(root), ['kept']),
        )
      },
    ],
    [
      'mounts a volatile draft again',
      async (given) => {
        await given.layer('s1', null)
        await given.mounted(await given.driver.prepare(draftId('d'), snapshotId('s1'), { volatile: true }), write('a'))
        for (const name of ['b', 'c'])
          await given.mounted(await given.driver.mounts(draftId('d')), (root) => {
            assert(readdirSync(root).includes('a'))
            write(name)(root)
          })
        await given.driver.commit(draftId('d'), snapshotId('s2'))
        await given.look('s2', (root) => assert.deepEqual(readdirSync(root).sort(), ['a', 'b', 'c']))
      },
    ],
    [
      'a view cannot be written or committed',
      async (given) => {
        await given.layer('s1', null, write('file'))
        await given.layer('s2', 's1', write('more'))
        for (const [index, parent] of [null, 's1', 's2'].entries()) {
          const view = draftId(`view-${index}`)
          const mounts = await given.driver.view(view, parent === null ? null : snapshotId(parent))
          await given.mounted(mounts, (root) => {
            assert.throws(() => writeFileSync(join(root, 'file'), 'x'), { code: 'EROFS' })
            if (parent !== null) assert.equal(readFileSync(join(root, 'file'), 'utf8'), 'file')
          })
          await failsWith('invalid_argument', given.driver.commit(view, snapshotId(`no-${index}`)))
          await given.driver.remove(view)
        }
      },
    ],
    [
      'commit consumes the draft',
      async (given) => {
        await given.layer('s0', null)
        await given.driver.prepare(draftId('d'), snapshotId('s0'))
        await given.driver.commit(draftId('d'), snapshotId('s1'))
        await failsWith('not_found', given.driver.mounts(draftId('d')))
        await failsWith('not_found', given.driver.commit(draftId('d'), snapshotId('s2')))
        assert.deepEqual(await given.listed(), ['snapshot s0 < -', 'snapshot s1 < s0'])
        await given.driver.prepare(draftId('d'), snapshotId('s1'))
      },
    ],
    [
      'says what is what',
      async (given) => {
        const before = Date.now() - 1000
        await given.layer('s1', null)
        await given.driver.prepare(draftId('d'), snapshotId('s1'))
        await given.driver.view(draftId('v'), snapshotId('s1'))
        assert.deepEqual(await given.listed(), ['draft d < s1', 'snapshot s1 < -', 'view v < s1'])
        const info = await given.driver.stat(draftId('d'))
        assert.deepEqual([info.id, info.kind, info.parent], ['d', 'draft', 's1'])
        assert(info.createdAt.getTime() >= before && info.createdAt.getTime() <= Date.now() + 1000)
        await failsWith('not_found', given.driver.stat(draftId('nobody')))
      },
    ],
    [
      'refuses ids in use, unknown parents and parents that are drafts',
      async (given) => {
        await given.layer('s1', null)
        await given.driver.prepare(draftId('d'), null)
        for (const id of ['d', 's1']) {
          await failsWith('already_exists', given.driver.prepare(draftId(id), null))
          await failsWith('already_exists', given.driver.view(draftId(id), snapshotId('s1')))
        }
        await failsWith('already_exists', given.driver.commit(draftId('d'), snapshotId('s1')))
        await failsWith('not_found', given.driver.prepare(draftId('e'), snapshotId('nobody')))
        await failsWith('invalid_argument', given.driver.prepare(draftId('e'), snapshotId('d')))
        await failsWith('invalid_argument', given.driver.mounts(draftId('s1')))
        assert.deepEqual(await given.listed(), ['draft d < -', 'snapshot s1 < -'])
      },
    ],
    [
      'refuses ids that are no names',
      async (given) => {
        for (const bad of ['', '.', '..', '../x', 'a/b', 'a\0b', 'a b', '-x', 'x'.repeat(201)]) {
          await failsWith('invalid_argument', given.driver.prepare(draftId(bad), null))
          await failsWith('invalid_argument', given.driver.remove(draftId(bad)))
        }
        assert.deepEqual(await given.listed(), [])
      },
    ],
    [
      'takes digests as ids',
      async (given) => {
        const digest = `sha256:${'0123456789abcdef'.repeat(4)}`
        await given.layer(digest, null, write('file'))
        await given.layer(digest.replace('0', 'f'), digest)
        await given.look(digest.replace('0', 'f'), (root) => assert.deepEqual(readdirSync(root), ['file']))
      },
    ],
    [
      'measures what a tree itself occupies',
      async (given) => {
        await given.layer('s1', null, (root) => writeFileSync(join(root, 'big'), Buffer.alloc(1 << 20, 1)))
        const one = await given.driver.usage(snapshotId('s1'))
        assert(one.bytes >= 1 << 20 && one.bytes < 3 << 20, `${one.bytes} bytes for 1 MiB`)
        assert.equal(one.inodes, 1)
      },
    ],
  ],
}
