import { closeSync, constants, openSync, statfsSync, statSync } from 'node:fs'
import { errnoOf, fromNodeError, hostErrors } from '../errors/host-errors.ts'
import { readMountTable } from './mount-info.ts'
import { projectOf, quotaCommands, quotactl, quotactlFd, setInheritedProject } from './syscall/quota.ts'

/** Whether a file system limits what its projects occupy, and what is missing if not. */
export type ProjectQuotaState =
  | { readonly enforced: true }
  | { readonly enforced: false; readonly missing: string; readonly hint: string }

/** What a project occupies, and its limit; all in bytes. */
export interface ProjectUsage {
  readonly bytes: number
  readonly inodes: number
  /** `null`: no limit. */
  readonly limitBytes: number | null
}

/**
 * Project quotas: directories get a number, the project, which everything made in them inherits, and the file system
 * limits what a project occupies. xfs and ext4 have them. Every directory names its file system. Source: quotactl(2),
 * ioctl_xfs_fsgetxattr(2).
 */
export interface ProjectQuotas {
  /** Whether limits set in the file system of a directory are kept. */
  state(directory: string): ProjectQuotaState
  /** What a project uses now, and its limits. */
  usage(directory: string, project: number): ProjectUsage
  /** Sets a project's limit, rounded up to 1,024 bytes; `null` takes it away. */
  limit(directory: string, project: number, bytes: number | null): void
  /** Gives a directory a project; files that are in it already keep theirs. */
  assign(directory: string, project: number): void
  /** The project of a directory; 0 for none. */
  projectOf(directory: string): number
}

const ext = 0xef53
const xfs = 0x58465342
/** Flags of `struct fs_quota_stat`. */
const projectAccounting = 1 << 4
const projectEnforcement = 1 << 5
const onWhat =
  'put the data root on xfs mounted with the option pquota, or on ext4 made with `mkfs.ext4 -O project,quota` and mounted with prjquota'

/** The kernel's project quotas. */
export const projectQuotas: ProjectQuotas = { state, usage, limit, assign, projectOf: projectIn }

function state(directory: string): ProjectQuotaState {
  const type = statfsSync(directory).type >>> 0
  if (type !== ext && type !== xfs)
    return { enforced: false, missing: `project quotas on the file system of ${directory}`, hint: onWhat }
  // struct fs_quota_stat: version (1 byte), padding, flags (2 bytes), ...
  const data = new Uint8Array(128)
  try {
    control(directory, quotaCommands.xfsState, 0, data)
  } catch (error) {
    // ENOSYS is also the answer of a file system whose quotas are off.
    if (!['ENOSYS', 'EINVAL', 'ESRCH', 'EOPNOTSUPP', 'EPERM', 'ENOTBLK', 'ENODEV'].includes(errnoOf(error) ?? ''))
      throw error
  }
  const flags = new DataView(data.buffer).getUint16(2, true)
  if (flags & projectEnforcement) return { enforced: true }
  if (type === xfs)
    return {
      enforced: false,
      missing: `the mount option pquota on the xfs of ${directory}`,
      hint: 'mount it with pquota (a remount does not suffice; for the root file system: kernel parameter rootflags=pquota); the kernel needs CONFIG_XFS_QUOTA',
    }
  if (flags & projectAccounting)
    return {
      enforced: false,
      missing: `the mount option prjquota on the ext4 of ${directory}`,
      hint: 'mount it with prjquota',
    }
  return {
    enforced: false,
    missing: `the features project and quota on the ext4 of ${directory}`,
    hint: '`tune2fs -O project,quota` on its unmounted device, then mount it with prjquota; the kernel needs CONFIG_QFMT_V2 (module quota_v2)',
  }
}

/** `struct if_dqblk`: seven 64-bit numbers, two times, what is valid. Limits are in 1,024 bytes, the usage is in bytes. */
const sizeOfQuota = 72
const hardLimitAt = 0
const softLimitAt = 8
const spaceAt = 16
const inodesAt = 40
const validAt = 64
const validBlockLimits = 1

function usage(directory: string, project: number): ProjectUsage {
  const data = new Uint8Array(sizeOfQuota)
  try {
    control(directory, quotaCommands.get, project, data)
  } catch (error) {
    // What xfs says of a project that it has never met.
    if (errnoOf(error) === 'ENOENT') return { bytes: 0, inodes: 0, limitBytes: null }
    throw error
  }
  const view = new DataView(data.buffer)
  const limitKiB = Number(view.getBigUint64(hardLimitAt, true))
  return {
    bytes: Number(view.getBigUint64(spaceAt, true)),
    inodes: Number(view.getBigUint64(inodesAt, true)),
    limitBytes: limitKiB === 0 ? null : limitKiB * 1024,
  }
}

function limit(directory: string, project: number, bytes: number | null): void {
  if (bytes !== null && !(Number.isSafeInteger(bytes) && bytes > 0))
    throw hostErrors.error('invalid', { message: `A project cannot be limited to ${bytes} bytes; give 1 or more.` })
  const data = new Uint8Array(sizeOfQuota)
  const view = new DataView(data.buffer)
  const limitKiB = bytes === null ? 0n : BigInt(Math.ceil(bytes / 1024))
  view.setBigUint64(hardLimitAt, limitKiB, true)
  view.setBigUint64(softLimitAt, 0n, true)
  view.setUint32(validAt, validBlockLimits, true)
  control(directory, quotaCommands.set, project, data)
}

function assign(directory: string, project: number): void {
  withDirectory(directory, (fd) => setInheritedProject(fd, project))
}

function projectIn(directory: string): number {
  return withDirectory(directory, projectOf)
}

function control(directory: string, command: number, id: number, data: Uint8Array): void {
  try {
    withDirectory(directory, (fd) => quotactlFd(fd, command, id, data))
  } catch (error) {
    if (errnoOf(error) !== 'ENOSYS') throw error
    const device = deviceOf(directory)
    if (device === null) throw error
    quotactl(command, device, id, data)
  }
}

/** The block device that a directory's file system is mounted from, for kernels before 5.14. */
function deviceOf(directory: string): string | null {
  const { dev } = statSync(directory)
  // Source: makedev(3).
  const [major, minor] = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)]
  const mounted = readMountTable().find((entry) => entry.device === `${major}:${minor}` && entry.source.startsWith('/'))
  return mounted?.source ?? null
}

function withDirectory<T>(directory: string, work: (fd: number) => T): T {
  let fd: number
  try {
    fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  } catch (error) {
    throw fromNodeError(error, `Opening the directory ${directory}`)
  }
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}
