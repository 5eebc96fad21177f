import { bind, check, cString, type Path } from './libc.ts'
import { syscallNumber } from './numbers.ts'

/** Source: linux/fs.h. */
const FS_IOC_FSGETXATTR = 0x801c581f
const FS_IOC_FSSETXATTR = 0x401c5820
/** New files and directories in a directory get its project. */
const FS_XFLAG_PROJINHERIT = 0x200
const sizeOfFsxattr = 28
const flagsAt = 0
const projectAt = 12

const ioctlCall = bind<[number, number, Uint8Array]>('ioctl', 'int', ['int', 'ulong', 'void *'])
const quotactlFdCall = bind<[number, number, number, number, Uint8Array]>('syscall', 'long', [
  'long',
  'uint',
  'uint',
  'uint',
  'void *',
])
const quotactlCall = bind<[number, Uint8Array, number, Uint8Array]>('quotactl', 'int', [
  'uint',
  'void *',
  'uint',
  'void *',
])

function readAttributes(fd: number): DataView {
  const bytes = new Uint8Array(sizeOfFsxattr)
  check(ioctlCall(fd, FS_IOC_FSGETXATTR, bytes), 'ioctl(FS_IOC_FSGETXATTR)')
  return new DataView(bytes.buffer)
}

/** The project of an open file or directory; 0 for none. */
export function projectOf(fd: number): number {
  return readAttributes(fd).getUint32(projectAt, true)
}

/** Gives an open directory a project, and with it whatever will be made in it. */
export function setInheritedProject(fd: number, project: number): void {
  const view = readAttributes(fd)
  view.setUint32(projectAt, project, true)
  view.setUint32(flagsAt, view.getUint32(flagsAt, true) | FS_XFLAG_PROJINHERIT, true)
  check(ioctlCall(fd, FS_IOC_FSSETXATTR, new Uint8Array(view.buffer)), 'ioctl(FS_IOC_FSSETXATTR)')
}

/** Commands for project quotas. Source: linux/quota.h, linux/dqblk_xfs.h; type PRJQUOTA is 2. */
const PRJQUOTA = 2
const commandOf = (command: number): number => ((command << 8) | PRJQUOTA) >>> 0
export const quotaCommands = {
  get: commandOf(0x800007),
  set: commandOf(0x800008),
  xfsState: commandOf(0x5805),
} as const

/** quotactl_fd(2), Linux 5.14 and newer: no path of the block device is needed. */
export function quotactlFd(fd: number, command: number, id: number, data: Uint8Array): void {
  check(quotactlFdCall(syscallNumber('quotactl_fd'), fd, command, id, data), 'quotactl_fd')
}

/** quotactl(2): `special` is the block device. */
export function quotactl(command: number, special: Path, id: number, data: Uint8Array): void {
  check(quotactlCall(command, cString(special), id, data), 'quotactl', special)
}
