import { hostErrors } from '../../errors/host-errors.ts'

/** Numbers of calls that libc has no wrapper for everywhere. Source: asm/unistd_64.h, asm-generic/unistd.h. */
const table = {
  gettid: { x64: 186, arm64: 178 },
  mknodat: { x64: 259, arm64: 33 },
  pidfd_send_signal: { x64: 424, arm64: 424 },
  open_tree: { x64: 428, arm64: 428 },
  move_mount: { x64: 429, arm64: 429 },
  pidfd_open: { x64: 434, arm64: 434 },
  openat2: { x64: 437, arm64: 437 },
  mount_setattr: { x64: 442, arm64: 442 },
  quotactl_fd: { x64: 443, arm64: 443 },
} as const

export function syscallNumber(name: keyof typeof table): number {
  const row: Partial<Record<string, number>> = table[name]
  const number = row[process.arch]
  if (number === undefined)
    throw hostErrors.error('unsupported', {
      message: `The system call ${name} is not known for ${process.arch}; tscontainer runs on x64 and arm64.`,
    })
  return number
}
