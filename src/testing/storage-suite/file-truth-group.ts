import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describeTree } from './describe-tree.ts'
import type { SuiteCheck, SuiteGroup } from './suite.ts'
import type { StorageCase } from './suite-case.ts'

/** Makes something in a layer, and compares the tree as it was made with what later layers and views show. */
const kept =
  (make: (root: string, given: StorageCase) => void | Promise<void>, extra?: (root: string) => void): SuiteCheck[1] =>
  async (given) => {
    let made: ReadonlyMap<string, string> = new Map()
    await given.layer('s1', null, async (root) => {
      await make(root, given)
      made = describeTree(root, given.host.xattrs)
    })
    assert(made.size > 1, 'nothing was made')
    await given.layer('s2', 's1', (root) => {
      assert.deepEqual(describeTree(root, given.host.xattrs), made, 'in a draft upon it')
      writeFileSync(join(root, 'zz-above'), '')
    })
    await given.reopen()
    await given.look('s1', (root) => {
      assert.deepEqual(describeTree(root, given.host.xattrs), made, 'in a view of it')
      extra?.(root)
    })
    await given.look('s2', (root) => {
      const found = new Map(describeTree(root, given.host.xattrs))
      found.delete('/zz-above')
      assert.deepEqual(found, made, 'in a view of the layer above')
    })
  }

export const fileTruthGroup: SuiteGroup = {
  name: 'file-system truth',
  checks: () => [
    [
      'keeps modes with setuid, setgid and sticky',
      kept((root) => {
        for (const mode of [0o0, 0o400, 0o644, 0o755, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777]) {
          writeFileSync(join(root, `f${mode}`), '')
          chmodSync(join(root, `f${mode}`), mode)
          mkdirSync(join(root, `d${mode}`))
          chmodSync(join(root, `d${mode}`), mode)
        }
      }),
    ],
    [
      'keeps numeric owners, also of symlinks and large ones',
      kept(async (root, given) => {
        const { largestId } = await given.abilities
        for (const [uid, gid] of [
          [0, 7],
          [1000, 1000],
          [65534, 65534],
          [2_000_000_000, 4_000_000_000],
          [largestId, largestId],
        ] as const) {
          if (uid > largestId || gid > largestId) continue
          writeFileSync(join(root, `f${uid}`), '')
          chownSync(join(root, `f${uid}`), uid, gid)
          symlinkSync('nowhere', join(root, `l${uid}`))
          lchownSync(join(root, `l${uid}`), uid, gid)
          mkdirSync(join(root, `d${uid}`))
          chownSync(join(root, `d${uid}`), uid, gid)
        }
      }),
    ],
    [
      'keeps the attributes of the root directory',
      async (given) => {
        await given.layer('s1', null, (root) => {
          chmodSync(root, 0o1711)
          chownSync(root, 12, 34)
          given.host.xattrs.set(root, 'user.root', Buffer.from('x'))
          utimesSync(root, 1_000_000_000, 1_000_000_000)
        })
        const look = (root: string) => {
          const { mode, uid, gid, mtimeMs } = statSync(root)
          assert.deepEqual([mode & 0o7777, uid, gid, mtimeMs], [0o1711, 12, 34, 1_000_000_000_000])
          assert.equal(Buffer.from(given.host.xattrs.get(root, 'user.root') ?? []).toString(), 'x')
        }
        await given.layer('s2', 's1', look)
        await given.look('s2', look)
      },
    ],
    [
      'keeps extended attributes and file capabilities',
      kept(async (root, given) => {
        const { xattrs } = given.host
        writeFileSync(join(root, 'file'), 'x')
        xattrs.set(join(root, 'file'), 'user.empty', Buffer.alloc(0))
        xattrs.set(join(root, 'file'), 'user.binary', Buffer.from([0, 255, 10, 0]))
        const { trustedXattrs } = await given.abilities
        if (trustedXattrs) xattrs.set(join(root, 'file'), 'trusted.mine', Buffer.from('secret'))
        // CAP_NET_RAW, effective; the format is struct vfs_cap_data, revision 2.
        xattrs.set(
          join(root, 'file'),
          'security.capability',
          Buffer.from('0100000200200000000000000000000000000000', 'hex'),
        )
        mkdirSync(join(root, 'dir'))
        xattrs.set(join(root, 'dir'), 'user.dir', Buffer.from('d'))
      }),
    ],
    [
      'keeps hard links',
      kept((root) => {
        writeFileSync(join(root, 'a'), 'linked')
        mkdirSync(join(root, 'dir'))
        linkSync(join(root, 'a'), join(root, 'dir/b'))
        linkSync(join(root, 'a'), join(root, 'c'))
      }),
    ],
    [
      'keeps FIFOs and device nodes',
      kept(async (root, { host, abilities }) => {
        await host.run('mknod', [join(root, 'fifo'), 'p'])
        if (!(await abilities).devices) return
        await host.run('mknod', [join(root, 'null'), 'c', '1', '3'])
        await host.run('mknod', [join(root, 'disk'), 'b', '259', '70000'])
        chmodSync(join(root, 'null'), 0o666)
      }),
    ],
    [
      'keeps modification times, also of symlinks and directories',
      async (given) => {
        const times = { file: 1, dir: 1_234_567_890, link: 4_000_000_000 }
        await given.layer('s1', null, (root) => {
          writeFileSync(join(root, 'file'), '')
          mkdirSync(join(root, 'dir'))
          symlinkSync('file', join(root, 'link'))
          for (const [name, time] of Object.entries(times)) lutimesSync(join(root, name), time, time)
        })
        await given.layer('s2', 's1')
        for (const at of ['s1', 's2'])
          await given.look(at, (root) => {
            for (const [name, time] of Object.entries(times))
              assert.equal(lstatSync(join(root, name)).mtimeMs, time * 1000, name)
          })
      },
    ],
    [
      'keeps holes in files',
      kept(
        (root) => {
          writeFileSync(join(root, 'sparse'), 'start')
          truncateSync(join(root, 'sparse'), 64 << 20)
        },
        (root) => {
          const { size, blocks } = statSync(join(root, 'sparse'))
          assert(size === 64 << 20 && blocks * 512 < 1 << 20, `${blocks * 512} bytes on disk`)
        },
      ),
    ],
    [
      'keeps names of any bytes and of full length',
      kept((root) => {
        const prefix = Buffer.from(`${root}/`)
        for (const name of [Buffer.from([0xff, 0xfe, 0x0a, 0x20]), Buffer.from('ü\t\\:,'), Buffer.alloc(255, 0x78)])
          writeFileSync(Buffer.concat([prefix, name]), 'x')
        mkdirSync(Buffer.concat([prefix, Buffer.from([0x80])]))
        writeFileSync(Buffer.concat([prefix, Buffer.from([0x80, 0x2f, 0x81])]), 'y')
        symlinkSync(Buffer.from([0xc3, 0x28]), Buffer.concat([prefix, Buffer.from('to-bytes')]))
      }),
    ],
    [
      'keeps names that other drivers use for whiteouts',
      kept((root) => writeFileSync(join(root, '.wh.not-a-whiteout'), '')),
    ],
  ],
}
