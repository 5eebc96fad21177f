import { closeSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { errnoOf } from '../errors/host-errors.ts'
import { memo } from './memo.ts'
import { pidfdOpen, pidfdSendSignal } from './syscall/process.ts'

/** One process and no other: pids are used again, start times within one boot are not. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks between boot and its start. Source: proc_pid_stat(5), field 22. */
  readonly startTime: string
  /** /proc/sys/kernel/random/boot_id. */
  readonly bootId: string
}

/** Id of this boot of the machine. */
export const bootId: () => string = memo(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())

interface ProcessStat {
  readonly state: string
  readonly startTime: string
}

function readStat(pid: number): ProcessStat | null {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return null
    throw error
  }
  // The name in parentheses may hold spaces and parentheses; fields are counted from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0]!, startTime: fields[19]! }
}

/** Who has this pid now; `null` when nobody has. A zombie still has its pid. */
export function identityOf(pid: number): ProcessIdentity | null {
  const stat = readStat(pid)
  return stat && { pid, startTime: stat.startTime, bootId: bootId() }
}

export function currentIdentity(): ProcessIdentity {
  return identityOf(process.pid)!
}

/** False once the process is dead, also while its parent has not yet collected it. */
export function isAlive(identity: ProcessIdentity): boolean {
  if (identity.bootId !== bootId()) return false
  const stat = readStat(identity.pid)
  return stat !== null && stat.startTime === identity.startTime && stat.state !== 'Z' && stat.state !== 'X'
}

/** Signals exactly this process, never a successor of its pid; false when it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals | number): boolean {
  const pidfd = pidfdOpen(identity.pid)
  if (pidfd === null) return false
  try {
    // The descriptor pins the process; only now does a comparison of start times prove anything.
    if (!isAlive(identity)) return false
    return pidfdSendSignal(pidfd, typeof signal === 'number' ? signal : constants.signals[signal])
  } finally {
    closeSync(pidfd)
  }
}
