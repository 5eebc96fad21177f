import { hostErrors } from '../errors/host-errors.ts'
import type { MountSpec } from './mount-spec.ts'
import { MS } from './syscall/mount.ts'

/** What mount(2) is to be called with, one after the other. */
export interface MountPlan {
  readonly type: string
  readonly source: string
  /** Flags of the first call. */
  readonly flags: number
  readonly data: string
  /** Flags of a bind mount cannot be given while it is made: a second call sets them. */
  readonly remount: number | null
  /** Propagation needs a call of its own. */
  readonly propagation: number | null
}

const setFlags: Readonly<Record<string, number>> = {
  ro: MS.RDONLY,
  nosuid: MS.NOSUID,
  nodev: MS.NODEV,
  noexec: MS.NOEXEC,
  sync: MS.SYNCHRONOUS,
  dirsync: MS.DIRSYNC,
  mand: MS.MANDLOCK,
  noatime: MS.NOATIME,
  nodiratime: MS.NODIRATIME,
  relatime: MS.RELATIME,
  strictatime: MS.STRICTATIME,
  lazytime: MS.LAZYTIME,
  nosymfollow: MS.NOSYMFOLLOW,
  silent: MS.SILENT,
  bind: MS.BIND,
  rbind: MS.BIND | MS.REC,
}

const clearFlags: Readonly<Record<string, number>> = {
  rw: MS.RDONLY,
  suid: MS.NOSUID,
  dev: MS.NODEV,
  exec: MS.NOEXEC,
  async: MS.SYNCHRONOUS,
  nomand: MS.MANDLOCK,
  atime: MS.NOATIME,
  diratime: MS.NODIRATIME,
  norelatime: MS.RELATIME,
  nostrictatime: MS.STRICTATIME,
  nolazytime: MS.LAZYTIME,
  symfollow: MS.NOSYMFOLLOW,
  loud: MS.SILENT,
  defaults: 0,
}

const propagations: Readonly<Record<string, number>> = {
  private: MS.PRIVATE,
  rprivate: MS.PRIVATE | MS.REC,
  slave: MS.SLAVE,
  rslave: MS.SLAVE | MS.REC,
  shared: MS.SHARED,
  rshared: MS.SHARED | MS.REC,
  unbindable: MS.UNBINDABLE,
  runbindable: MS.UNBINDABLE | MS.REC,
}

/** Splits mount(8) options into flags and the file system's own data; the last of contradicting words wins. */
export function planMount(spec: MountSpec): MountPlan {
  let flags = spec.type === 'bind' ? MS.BIND : 0
  let propagation: number | null = null
  const data: string[] = []
  for (const option of spec.options) {
    if (Object.hasOwn(setFlags, option)) flags |= setFlags[option]!
    else if (Object.hasOwn(clearFlags, option)) flags &= ~clearFlags[option]!
    else if (Object.hasOwn(propagations, option)) propagation = propagations[option]!
    else if (option !== '') data.push(option)
  }
  const isBind = (flags & MS.BIND) !== 0
  if (isBind && data.length > 0)
    throw hostErrors.error('invalid', {
      message: `A bind mount of ${spec.source} has options of a file system: ${data.join(',')}. Remove them.`,
      details: { options: data },
    })
  const settings = flags & ~(MS.BIND | MS.REC | MS.SILENT)
  return {
    type: spec.type,
    source: spec.source,
    flags: isBind ? flags & (MS.BIND | MS.REC | MS.SILENT) : flags,
    data: data.join(','),
    remount: isBind && settings !== 0 ? settings | MS.BIND | MS.REMOUNT : null,
    propagation,
  }
}
