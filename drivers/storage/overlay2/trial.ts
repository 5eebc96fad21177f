import { randomBytes } from 'node:crypto'
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type CallOptions, type DriverContext, type IdMap, isEngineError, throwIfAborted } from 'tscontainer/driver-kit'
import { features, type OverlaySupport, overlayMount } from './mount-options.ts'
import type { Overlay2Options } from './options.ts'

/** File systems by their magic number. Source: linux/magic.h, statfs(2). */
const filesystems: Readonly<Record<number, string>> = {
  [0xef53]: 'extfs',
  [0x58465342]: 'xfs',
  [0x9123683e]: 'btrfs',
  [0x01021994]: 'tmpfs',
  [0xf2f52010]: 'f2fs',
  [0x2fc12fc1]: 'zfs',
  [0xca451a4e]: 'bcachefs',
  [0x794c7630]: 'overlay',
  [0x6969]: 'nfs',
  [0x65735546]: 'fuse',
  [0xf15f]: 'ecryptfs',
  [0x61756673]: 'aufs',
  [0x4d44]: 'vfat',
  [0x2011bab0]: 'exfat',
  [0x01021997]: '9p',
  [0xff534d42]: 'cifs',
  [0x9fa0]: 'proc',
  [0x858458f6]: 'ramfs',
}

/** File systems that the kernel refuses as an upper layer, or on which it loses things. */
const refused = new Set(['overlay', 'nfs', 'ecryptfs', 'aufs', 'vfat', 'exfat', '9p', 'cifs', 'proc', 'ramfs'])

export function backingFilesystem(directory: string): string {
  const { type } = statfsSync(directory)
  return filesystems[type >>> 0] ?? `unknown (magic 0x${(type >>> 0).toString(16)})`
}

export const isRefusedBacking = (name: string): boolean => refused.has(name)

export type Trial =
  | { readonly works: true; readonly support: OverlaySupport }
  | { readonly works: false; readonly error: unknown; readonly reason: string }

/** Finds out what overlay can do in a directory by mounting it in the launcher's namespace and changing things. */
export async function tryOverlay(context: DriverContext, options: Overlay2Options, call?: CallOptions): Promise<Trial> {
  const prefixes = (['trusted.overlay.', 'user.overlay.'] as const).filter(
    (prefix) => options.userXattrs === null || options.userXattrs === (prefix === 'user.overlay.'),
  )
  let last: Trial = { works: false, error: null, reason: 'nothing was tried' }
  for (const xattrPrefix of prefixes) {
    const marks = xattrPrefix === 'user.overlay.' ? ['userxattr'] : []
    for (const chosen of [features, knownFeatures()]) {
      const unshifted = { idMap: { lacking: 'it was not tried' } } as const
      const plain: OverlaySupport = { options: [...chosen, ...marks], volatile: false, xattrPrefix, ...unshifted }
      last = await tryOne(context, plain, null, call)
      if (!last.works) continue
      const shifted = await tryOne(context, plain, someMap, call)
      const idMap = shifted.works ? true : { lacking: shifted.reason }
      const withVolatile = await tryOne(context, { ...plain, volatile: true }, null, call)
      return {
        works: true,
        support: { ...(options.volatile && withVolatile.works ? withVolatile : last).support, idMap },
      }
    }
  }
  return last
}

/** For older kernels: what they have a switch for; asked after a first mount has loaded the module. */
const knownFeatures = (): readonly string[] =>
  features
    .filter((feature) => {
      const name = feature.split('=')[0]!
      return existsSync(`/sys/module/overlay/parameters/${name === 'xino' ? 'xino_auto' : name}`)
    })
    // `nofollow` came with Linux 4.16.
    .map((feature) => feature.replace('=nofollow', '=off'))

/** Root is shown as somebody else. */
const someMap: IdMap = {
  uids: [{ onDisk: 0, shown: 100_000, count: 1 }],
  gids: [{ onDisk: 0, shown: 100_000, count: 1 }],
}

async function tryOne(
  context: DriverContext,
  support: OverlaySupport,
  shift: IdMap | null,
  call?: CallOptions,
): Promise<Trial> {
  throwIfAborted(call, 'Trying overlay')
  const directory = join(context.directory, `probe-${randomBytes(4).toString('hex')}`)
  try {
    for (const name of ['lower/tree', 'below', 'upper', 'work', 'merged'])
      mkdirSync(join(directory, name), { recursive: true, mode: 0o700 })
    writeFileSync(join(directory, 'lower/file'), 'x')
    writeFileSync(join(directory, 'lower/tree/file'), 'x')
    const lease = await context.host.launcher.mount(
      {
        target: join(directory, 'merged'),
        mounts: [
          {
            ...overlayMount(support, {
              lower: [join(directory, 'lower'), join(directory, 'below')],
              upper: join(directory, 'upper'),
              work: join(directory, 'work'),
              volatile: true,
            }),
            ...(shift ? { shift: { ...shift, within: directory } } : {}),
          },
        ],
      },
      call,
    )
    let lost: string | null
    try {
      lost = shift
        ? tryShifted(lease.path, directory)
        : changeThings(context, lease.path, join(directory, 'upper'), support)
    } finally {
      await lease[Symbol.asyncDispose]()
    }
    return lost === null ? { works: true, support } : { works: false, error: null, reason: lost }
  } catch (error) {
    if (isEngineError(error, { kind: 'aborted' })) throw error
    return { works: false, error, reason: error instanceof Error ? error.message : String(error) }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Deletes and replaces; gives back what went wrong. A file system without d_type shows what was deleted. */
function changeThings(context: DriverContext, merged: string, upper: string, support: OverlaySupport): string | null {
  unlinkSync(join(merged, 'file'))
  unlinkSync(join(merged, 'tree/file'))
  rmdirSync(join(merged, 'tree'))
  mkdirSync(join(merged, 'tree'))
  if (readdirSync(merged).includes('file'))
    return 'deleted files stay visible: it has no d_type (xfs made with ftype=0)'
  if (!lstatSync(join(upper, 'file')).isCharacterDevice()) return 'deletions cannot be marked (no whiteouts)'
  if (context.host.xattrs.get(join(upper, 'tree'), `${support.xattrPrefix}opaque`) === null)
    return 'replaced directories cannot be marked (no extended attributes)'
  return readdirSync(join(merged, 'tree')).length === 0 ? null : 'a replaced directory shows its old content'
}

/** What is wrong with shifted owners, which are those of `someMap`. */
function tryShifted(merged: string, directory: string): string | null {
  if (lstatSync(join(merged, 'file')).uid !== 100_000) return 'owners are shown as they are on disk'
  chownSync(join(merged, 'file'), 100_000, 100_000)
  return lstatSync(join(directory, 'upper/file')).uid === 0 ? null : 'owners on disk are changed'
}
