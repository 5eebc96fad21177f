/** Names of drivers that other engines have or had, and what to tell people who ask for them. */
const absentDrivers: Readonly<Record<string, string>> = {
  overlay:
    'The old driver "overlay" runs out of inodes (it links every file of every layer) and was never fit for production. Use "overlay2".',
  aufs: 'The file system aufs never became part of Linux, and current kernels do not have it. Use "overlay2".',
  btrfs:
    'There is no storage driver "btrfs": a data root on btrfs works with "overlay2", and "vfs" shares blocks there. Use "overlay2".',
  zfs: 'There is no storage driver "zfs". Use "overlay2" (OpenZFS 2.2 and newer can hold its layers), or put the data root on ext4 or xfs.',
  devicemapper:
    'There is no storage driver "devicemapper" in this version. Use "overlay2" on ext4 or xfs upon the block device.',
  overlayfs: 'The driver upon the kernel\'s overlay file system is called "overlay2" here. Use "overlay2".',
  native: 'The driver that copies whole layers is called "vfs" here. Use "vfs".',
  windowsfilter: 'The driver "windowsfilter" needs Windows; this engine runs Linux containers. Use "overlay2".',
  lcow: 'The driver "lcow" needs Windows; this engine runs Linux containers. Use "overlay2".',
}

/** Why there is no such driver, and what to use instead; null for a name that nobody knows. */
export const absentDriver = (name: string): string | null =>
  Object.hasOwn(absentDrivers, name) ? absentDrivers[name]! : null
