import { readFileSync } from 'node:fs'

/** A kernel setting that many containers run into. */
export interface LimitCheck {
  /** Path below /proc/sys, dots for slashes. */
  readonly name: string
  /** Null when this kernel has no such setting. */
  readonly value: number | null
  readonly recommended: number
  readonly enough: boolean
  /** What runs short, and how to raise it. */
  readonly hint: string
}

const checks = [
  ['fs.inotify.max_user_instances', 512, 'programs in containers that watch files fail with "too many open files"'],
  ['fs.inotify.max_user_watches', 65_536, 'programs in containers that watch many files fail with "no space left"'],
  ['fs.file-max', 100_000, 'the machine runs out of open files'],
  ['kernel.keys.root_maxkeys', 1000, 'every container holds a kernel keyring'],
  ['kernel.pid_max', 32_768, 'the machine runs out of process ids'],
  ['net.ipv4.neigh.default.gc_thresh3', 1024, 'many containers on one bridge overflow the neighbour table'],
] as const

export function hostLimitChecks(): readonly LimitCheck[] {
  return checks.map(([name, recommended, what]) => {
    const value = readNumber(name)
    return {
      name,
      value,
      recommended,
      enough: value === null || value >= recommended,
      hint: `${what}; raise it with: sysctl -w ${name}=${recommended}`,
    }
  })
}

function readNumber(name: string): number | null {
  try {
    return Number(readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8'))
  } catch {
    return null
  }
}
