import { textOf } from './vanishing-files.ts'

/** One process as the kernel shows it now. */
export interface ProcessFacts {
  /** On this host. */
  readonly pid: number
  /** In the innermost pid namespace that it is in. */
  readonly innerPid: number
  readonly parentPid: number
  /** Effective, as this host numbers them. */
  readonly uid: number
  readonly gid: number
  /** One letter: R runs, S sleeps, D waits for a disk, T was stopped, Z has ended, ... Source: proc_pid_stat(5). */
  readonly state: string
  readonly threads: number
  /** Memory in use, shared parts included. */
  readonly residentBytes: number
  /** On processors so far. */
  readonly cpuMs: number
  readonly startedAt: Date
  /** Its short name; at most 15 bytes. */
  readonly name: string
  /** Empty for one that has ended and for kernel threads. */
  readonly argv: readonly string[]
}

/** Of clock ticks that user space is shown; the same on every machine that Node runs on. Source: time(7), USER_HZ. */
const ticksPerSecond = 100

/** Null when the process is gone. */
export function readProcessFacts(pid: number): ProcessFacts | null {
  const texts = { stat: textOf(`/proc/${pid}/stat`), status: textOf(`/proc/${pid}/status`) }
  if (texts.stat === '' || texts.status === '') return null
  return parseProcessFacts(pid, {
    ...texts,
    cmdline: textOf(`/proc/${pid}/cmdline`, 'utf8'),
    boot: textOf('/proc/stat'),
  })
}

export interface ProcessTexts {
  readonly stat: string
  readonly status: string
  readonly cmdline: string
  /** /proc/stat, which says when the machine was started. */
  readonly boot: string
}

export function parseProcessFacts(pid: number, { stat, status, cmdline, boot }: ProcessTexts): ProcessFacts {
  // The name in parentheses may hold spaces and parentheses; fields are counted from the last one.
  const close = stat.lastIndexOf(')')
  const fields = stat.slice(close + 2).split(' ')
  const field = (number: number) => Number(fields[number - 3])
  const values = (key: string) => (new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '').split(/\s+/)
  const bootSeconds = Number(/^btime (\d+)$/m.exec(boot)?.[1] ?? 0)
  return {
    pid,
    innerPid: Number(values('NSpid').at(-1) || pid),
    parentPid: field(4),
    uid: Number(values('Uid')[1] ?? 0),
    gid: Number(values('Gid')[1] ?? 0),
    state: fields[0]!,
    threads: Number(values('Threads')[0] || 1),
    residentBytes: Number(values('VmRSS')[0] || 0) * 1024,
    cpuMs: ((field(14) + field(15)) * 1000) / ticksPerSecond,
    startedAt: new Date((bootSeconds + field(22) / ticksPerSecond) * 1000),
    name: stat.slice(stat.indexOf('(') + 1, close),
    argv: cmdline === '' ? [] : cmdline.replace(/\0$/, '').split('\0'),
  }
}
