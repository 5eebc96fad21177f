import { readFileSync } from 'node:fs'
import { runtimeErrors } from '../errors/runtime-errors.ts'
import type { UlimitName } from './ulimits.ts'

/** What this process may give to the containers it starts. */
export interface HostLimits {
  /** Whether it may raise limits (CAP_SYS_RESOURCE). */
  readonly mayRaise: boolean
  /** Its own hard limits, -1 for unlimited; names it has no limit for are missing. */
  readonly hard: Readonly<Partial<Record<UlimitName, number>>>
  /** fs.nr_open: not even CAP_SYS_RESOURCE raises RLIMIT_NOFILE above it. */
  readonly openFiles: number
  /** Its own OOM score adjustment. */
  readonly oomScoreAdj: number
}

// The first words of the lines of /proc/<pid>/limits (proc_pid_limits(5)).
const lines: Readonly<Record<string, UlimitName>> = {
  'Max address space': 'as',
  'Max core file size': 'core',
  'Max cpu time': 'cpu',
  'Max data size': 'data',
  'Max file size': 'fsize',
  'Max file locks': 'locks',
  'Max locked memory': 'memlock',
  'Max msgqueue size': 'msgqueue',
  'Max nice priority': 'nice',
  'Max open files': 'nofile',
  'Max processes': 'nproc',
  'Max resident set': 'rss',
  'Max realtime priority': 'rtprio',
  'Max realtime timeout': 'rttime',
  'Max pending signals': 'sigpending',
  'Max stack size': 'stack',
}

/** Hard limits from the text of /proc/<pid>/limits. */
export function parseHardLimits(text: string): Readonly<Partial<Record<UlimitName, number>>> {
  const hard: Partial<Record<UlimitName, number>> = {}
  for (const line of text.split('\n')) {
    const match = /^(.*?) {2,}(?:\d+|unlimited) +(\d+|unlimited)(?: |$)/.exec(line)
    const name = match ? lines[match[1]!] : undefined
    if (name) hard[name] = match![2] === 'unlimited' ? -1 : Number(match![2])
  }
  return hard
}

/** Looks at this process; `capabilities` are its effective ones. */
export function readHostLimits(capabilities: readonly string[]): HostLimits {
  return {
    mayRaise: capabilities.includes('CAP_SYS_RESOURCE'),
    hard: parseHardLimits(readFileSync('/proc/self/limits', 'utf8')),
    openFiles: Number(readFileSync('/proc/sys/fs/nr_open', 'utf8')),
    oomScoreAdj: Number(readFileSync('/proc/self/oom_score_adj', 'utf8')),
  }
}

/** Lower than its own score a process sets others' only with CAP_SYS_RESOURCE. @throws runtime.unsupported_ulimit */
export function checkOomScore(wanted: number, { mayRaise, oomScoreAdj }: HostLimits): void {
  if (mayRaise || wanted >= oomScoreAdj) return
  throw runtimeErrors.error('unsupported_ulimit', {
    message: `oomScoreAdj ${wanted} is below this process's own ${oomScoreAdj}, and it lacks CAP_SYS_RESOURCE.`,
    subject: { type: 'option', id: 'oomScoreAdj' },
    details: { wanted, own: oomScoreAdj },
  })
}

/** The OOM score adjustment of a container: 0 whatever this process has, unless lowering it is forbidden here. */
export function containerOomScore(limits: HostLimits): number {
  return limits.mayRaise ? 0 : Math.max(0, limits.oomScoreAdj)
}
