import assert from 'node:assert/strict'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describeTree } from './describe-tree.ts'
import type { SuiteCheck, SuiteGroup } from './suite.ts'

/** Changes one layer upon another; the result must look as it looked when it was made, the lower as before. */
const changed =
  (lower: (root: string) => void, upper: (root: string) => void, check: (root: string) => void): SuiteCheck[1] =>
  async (given) => {
    const describe = (root: string) => describeTree(root, given.host.xattrs)
    let before: ReadonlyMap<string, string> = new Map()
    let after: ReadonlyMap<string, string> = new Map()
    await given.layer('s1', null, (root) => {
      lower(root)
      before = describe(root)
    })
    await given.layer('s2', 's1', (root) => {
      upper(root)
      check(root)
      after = describe(root)
    })
    await given.layer('s3', 's2')
    await given.look('s1', (root) => assert.deepEqual(describe(root), before, 'the lower layer has changed'))
    for (const at of ['s2', 's3'])
      await given.look(at, (root) => {
        check(root)
        assert.deepEqual(describe(root), after)
      })
  }

const file = (root: string, name: string, text = name) => writeFileSync(join(root, name), text)
const dir = (root: string, name: string) => mkdirSync(join(root, name), { recursive: true })

export const layerTruthGroup: SuiteGroup = {
  name: 'changes between layers',
  checks: () => [
    [
      'deletes files, directories and symlinks',
      changed(
        (root) => {
          dir(root, 'dir/sub')
          file(root, 'dir/sub/deep')
          file(root, 'file')
          file(root, 'stays')
          symlinkSync('file', join(root, 'link'))
        },
        (root) => {
          for (const name of ['dir', 'file', 'link']) rmSync(join(root, name), { recursive: true })
        },
        (root) => assert.deepEqual(readdirSync(root), ['stays']),
      ),
    ],
    [
      'replaces a directory by a file and a file by a directory',
      changed(
        (root) => {
          dir(root, 'was-dir/sub')
          file(root, 'was-dir/old')
          file(root, 'was-file')
        },
        (root) => {
          rmSync(join(root, 'was-dir'), { recursive: true })
          file(root, 'was-dir', 'now a file')
          unlinkSync(join(root, 'was-file'))
          dir(root, 'was-file')
          file(root, 'was-file/inside')
        },
        (root) => {
          assert.equal(readFileSync(join(root, 'was-dir'), 'utf8'), 'now a file')
          assert.deepEqual(readdirSync(join(root, 'was-file')), ['inside'])
        },
      ),
    ],
    [
      'a directory made anew hides what it had (opaque)',
      changed(
        (root) => {
          dir(root, 'dir/sub')
          file(root, 'dir/old')
          file(root, 'dir/sub/old')
        },
        (root) => {
          rmSync(join(root, 'dir'), { recursive: true })
          dir(root, 'dir/sub')
          file(root, 'dir/new')
        },
        (root) => {
          assert.deepEqual(readdirSync(join(root, 'dir')).sort(), ['new', 'sub'])
          assert.deepEqual(readdirSync(join(root, 'dir/sub')), [])
        },
      ),
    ],
    [
      'brings a deleted file back in a later layer',
      async (given) => {
        await given.layer('s1', null, (root) => file(root, 'file', 'first'))
        await given.layer('s2', 's1', (root) => rmSync(join(root, 'file')))
        await given.layer('s3', 's2', (root) => {
          assert.equal(existsSync(join(root, 'file')), false)
          file(root, 'file', 'third')
        })
        await given.look('s2', (root) => assert.deepEqual(readdirSync(root), []))
        await given.look('s3', (root) => assert.equal(readFileSync(join(root, 'file'), 'utf8'), 'third'))
      },
    ],
    [
      'renames files and directories of a lower layer',
      changed(
        (root) => {
          dir(root, 'dir/sub')
          file(root, 'dir/sub/deep', 'content')
          file(root, 'file')
        },
        (root) => {
          renameSync(join(root, 'file'), join(root, 'dir/moved'))
          try {
            renameSync(join(root, 'dir'), join(root, 'renamed'))
          } catch (error) {
            // What mv(1) does on EXDEV, which overlay answers for directories of lower layers.
            assert.equal((error as NodeJS.ErrnoException).code, 'EXDEV')
            dir(root, 'renamed/sub')
            file(root, 'renamed/sub/deep', 'content')
            renameSync(join(root, 'dir/moved'), join(root, 'renamed/moved'))
            rmSync(join(root, 'dir'), { recursive: true })
          }
        },
        (root) => {
          assert.deepEqual(readdirSync(root), ['renamed'])
          assert.deepEqual(readdirSync(join(root, 'renamed')).sort(), ['moved', 'sub'])
          assert.equal(readFileSync(join(root, 'renamed/sub/deep'), 'utf8'), 'content')
        },
      ),
    ],
    [
      'appends to a file of a lower layer',
      changed(
        (root) => file(root, 'log', 'lower\n'),
        (root) => appendFileSync(join(root, 'log'), 'upper\n'),
        (root) => assert.equal(readFileSync(join(root, 'log'), 'utf8'), 'lower\nupper\n'),
      ),
    ],
    [
      'changes the mode alone',
      changed(
        (root) => {
          file(root, 'file')
          dir(root, 'dir')
          file(root, 'dir/inside')
        },
        (root) => {
          chmodSync(join(root, 'file'), 0o4711)
          chmodSync(join(root, 'dir'), 0o1770)
        },
        (root) => {
          assert.equal(statSync(join(root, 'file')).mode & 0o7777, 0o4711)
          assert.equal(readFileSync(join(root, 'file'), 'utf8'), 'file')
          assert.deepEqual(readdirSync(join(root, 'dir')), ['inside'])
        },
      ),
    ],
    [
      'links to a file of a lower layer',
      changed(
        (root) => file(root, 'file'),
        (root) => linkSync(join(root, 'file'), join(root, 'link')),
        (root) => {
          assert.equal(readFileSync(join(root, 'link'), 'utf8'), 'file')
          assert.equal(lstatSync(join(root, 'link')).ino, lstatSync(join(root, 'file')).ino)
        },
      ),
    ],
  ],
}
