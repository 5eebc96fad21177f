import { existsSync } from 'node:fs'
import type { EngineError } from '../errors/engine-error.ts'
import { hostErrors, systemError } from '../errors/host-errors.ts'

/** Debian package of programs whose package has another name. */
const packages: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nft: 'nftables',
  xz: 'xz-utils',
  losetup: 'mount',
  mount: 'mount',
  dmsetup: 'dmsetup',
  pvs: 'lvm2',
  vgs: 'lvm2',
  lvs: 'lvm2',
  lvcreate: 'lvm2',
  vgcreate: 'lvm2',
  pvcreate: 'lvm2',
  thin_check: 'thin-provisioning-tools',
  thin_dump: 'thin-provisioning-tools',
  'mkfs.xfs': 'xfsprogs',
  xfs_growfs: 'xfsprogs',
  xfs_admin: 'xfsprogs',
  'mkfs.ext4': 'e2fsprogs',
  resize2fs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  sh: 'dash',
}

/** The error for a start that failed with ENOENT: the program, its interpreter or the working directory is missing. */
export function missingProgram(file: string, cause: Error, cwd?: string): EngineError {
  if (cwd !== undefined && !existsSync(cwd))
    return systemError({ errno: 'ENOENT', syscall: 'chdir', path: cwd, cause, what: `Starting ${file} in ${cwd}` })
  const name = file.slice(file.lastIndexOf('/') + 1)
  return hostErrors.error('program_missing', {
    message: `The program ${file} is not installed. Install the package ${packages[name] ?? name} and try again.`,
    subject: { type: 'program', id: file },
    cause,
    details: { errno: 'ENOENT', program: name, package: packages[name] ?? name },
  })
}
