import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { DriverHost } from '../../driver-kit/driver-host.ts'
import type { Abilities } from './abilities.ts'

/** CAP_NET_RAW, effective; `struct vfs_cap_data`, revision 2. */
const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex')

/** One of everything that a layer carries, in pairs where a change is to come: `x` stays, `x-...` changes. */
export async function makeCorpus(root: string, host: DriverHost, able: Abilities): Promise<void> {
  const { xattrs } = host
  const { largestId } = able
  const at = (name: string) => join(root, name)
  const file = (name: string, text = name) => writeFileSync(at(name), text)
  for (const directory of [
    'opaque/sub',
    'gone/sub',
    'was-dir/sub',
    'moved/sub/deep',
    'kept/sub',
    'emptied',
    'metadata',
  ])
    mkdirSync(at(directory), { recursive: true })
  for (const name of [
    'opaque/old',
    'opaque/sub/old',
    'gone/old',
    'gone/sub/old',
    'was-dir/old',
    'was-dir/sub/old',
    'moved/sub/deep/file',
    'kept/file',
    'kept/sub/file',
    'emptied/a',
    'emptied/b',
    'metadata/inside',
    'was-file',
    'deleted',
    'appended',
    'mode-only',
    'owner-only',
    'time-only',
    'attribute-only',
    'linked-later',
  ])
    file(name)
  // Large enough that a copy upwards without its data would show.
  writeFileSync(at('mode-only'), Buffer.alloc(300_000, 'whole '))
  for (const mode of [0o0, 0o1777, 0o2755, 0o4755, 0o6711]) {
    file(`mode-${mode.toString(8)}`)
    chmodSync(at(`mode-${mode.toString(8)}`), mode)
  }
  for (const [name, uid, gid] of [
    ['above-16-bits', 65_537, 70_000],
    ['above-21-bits', 2_097_152, 2_097_153],
    ['above-31-bits', 3_000_000_000, 2_147_483_648],
    // Not -1, which chown(2) takes for "leave it".
    ['largest', largestId, largestId],
  ] as const) {
    if (uid > largestId || gid > largestId) continue
    file(`owner-${name}`)
    chownSync(at(`owner-${name}`), uid, gid)
    mkdirSync(at(`owner-${name}-dir`))
    chownSync(at(`owner-${name}-dir`), uid, gid)
    symlinkSync('nowhere', at(`owner-${name}-link`))
    lchownSync(at(`owner-${name}-link`), uid, gid)
  }
  file('attributes')
  xattrs.set(at('attributes'), 'user.empty', Buffer.alloc(0))
  xattrs.set(at('attributes'), 'user.binary', Buffer.from([0, 255, 10, 0, 61]))
  if (able.trustedXattrs) xattrs.set(at('attributes'), 'trusted.mine', Buffer.from('secret'))
  xattrs.set(at('attributes'), 'security.capability', capability)
  xattrs.set(at('attribute-only'), 'user.old', Buffer.from('goes'))
  xattrs.set(at('kept'), 'user.directory', Buffer.from('stays'))
  file('hard-a', 'linked')
  linkSync(at('hard-a'), at('kept/hard-b'))
  linkSync(at('hard-a'), at('hard-c'))
  const sparse = openSync(at('sparse'), 'w')
  writeSync(sparse, 'start', 0)
  writeSync(sparse, 'middle', 8 << 20)
  closeSync(sparse)
  truncateSync(at('sparse'), 32 << 20)
  writeFileSync(at('all-hole'), '')
  truncateSync(at('all-hole'), 5 << 20)
  const prefix = Buffer.from(`${root}/`)
  for (const name of [Buffer.from([0xff, 0xfe, 0x0a, 0x20]), Buffer.from('ü\t\\:,='), Buffer.alloc(255, 0x78)])
    writeFileSync(Buffer.concat([prefix, name]), 'x')
  const long = `${'long-'.repeat(40)}/${'name-'.repeat(40)}`
  mkdirSync(at(long), { recursive: true })
  file(`${long}/file`)
  symlinkSync(`../${'target-'.repeat(80)}`, at(`${long}/link`))
  if (able.devices) {
    await host.run('mknod', [at('character'), 'c', '1', '3'])
    await host.run('mknod', [at('block'), 'b', '259', '70000'])
    await host.run('mknod', [at('gone/character'), 'c', '5', '0'])
  } else file('character')
  host.makeFifo(at('fifo'))
  for (const name of ['link', 'link-later']) symlinkSync('deleted', at(name))
  lutimesSync(at('link'), 1_234_567_890.5, 1_234_567_890.5)
  utimesSync(at('was-file'), 1.25, 1.25)
  utimesSync(at('kept/sub'), 4_000_000_000, 4_000_000_000.125)
}

/** Changes of each kind; with overlays each is a copy upwards, a whiteout or an opaque directory. */
export async function changeCorpus(root: string, host: DriverHost, able: Abilities): Promise<void> {
  const { xattrs } = host
  const { largestId } = able
  const at = (name: string) => join(root, name)
  const file = (name: string, text = `new ${name}`) => writeFileSync(at(name), text)
  rmSync(at('opaque'), { recursive: true })
  mkdirSync(at('opaque/sub'), { recursive: true })
  file('opaque/new')
  for (const name of ['gone', 'deleted', 'character', 'fifo', 'link-later']) rmSync(at(name), { recursive: true })
  rmSync(at('was-dir'), { recursive: true })
  file('was-dir')
  unlinkSync(at('was-file'))
  mkdirSync(at('was-file/sub'), { recursive: true })
  file('was-file/sub/file')
  for (const name of readdirSync(at('emptied'))) unlinkSync(at(`emptied/${name}`))
  await move(host, at('moved'), at('arrived'))
  renameSync(at('kept/file'), at('kept/sub/renamed'))
  appendFileSync(at('appended'), ' and more')
  chmodSync(at('mode-only'), 0o4711)
  chownSync(at('owner-only'), Math.min(65_537, largestId), largestId)
  utimesSync(at('time-only'), 7, 7.5)
  xattrs.remove(at('attribute-only'), 'user.old')
  xattrs.set(at('attribute-only'), 'security.capability', capability)
  xattrs.remove(at('attributes'), able.trustedXattrs ? 'trusted.mine' : 'user.binary')
  chmodSync(at('metadata'), 0o2711)
  xattrs.set(at('metadata'), 'user.new', Buffer.from('new'))
  linkSync(at('linked-later'), at('kept/link-to-it'))
  // Breaks the hard link of the layer below, for overlays; the others keep their names.
  unlinkSync(at('hard-c'))
  file('hard-c', 'on its own')
  truncateSync(at('sparse'), 40 << 20)
  if (able.devices) await host.run('mknod', [at('deleted'), 'c', '1', '5'])
  else host.makeFifo(at('deleted'))
  symlinkSync('kept', at('fifo'))
  const bytes = Buffer.from(`${root}/`)
  unlinkSync(Buffer.concat([bytes, Buffer.from([0xff, 0xfe, 0x0a, 0x20])]))
  writeFileSync(Buffer.concat([bytes, Buffer.from([0xfe, 0xff])]), 'y')
  for (const name of ['owner-largest', 'owner-largest-dir']) chmodSync(at(name), 0o750)
}

/** Renames a directory, or copies and deletes it where overlays refuse (EXDEV), as mv(1) does. */
async function move(host: DriverHost, from: string, to: string): Promise<void> {
  await host.run('mv', ['--no-target-directory', from, to])
}
