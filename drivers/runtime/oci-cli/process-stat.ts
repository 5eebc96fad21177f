import { readFileSync } from 'node:fs'

// sched.h: set by fork, taken away by execve.
const PF_FORKNOEXEC = 0x40

/** How far a container's process has come. */
export interface ProcessStat {
  readonly startTime: string
  /** Dead, but not yet collected by its parent. */
  readonly zombie: boolean
  /** Whether the user's program is what it runs, no longer the runtime. */
  readonly executed: boolean
}

/** Null when there is no such process. Source: proc_pid_stat(5). */
export function readProcessStat(pid: number): ProcessStat | null {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return null
  }
  const end = text.lastIndexOf(')')
  const fields = text.slice(end + 2).split(' ')
  // crun forks the process; runc executes itself once more and calls that `runc:[2:INIT]`.
  const forkedOnly = (Number(fields[6]) & PF_FORKNOEXEC) !== 0
  const isRunc = /^\d+ \(runc:\[\d/.test(text)
  return { startTime: fields[19]!, zombie: fields[0] === 'Z' || fields[0] === 'X', executed: !forkedOnly && !isRunc }
}
