import { runtimeErrors } from '../errors/runtime-errors.ts'

// signal(7), the numbering that x86, arm, riscv, ppc64 and s390x share.
const numbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGIOT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPOLL: 29,
  SIGPWR: 30,
  SIGSYS: 31,
}

// The C library keeps 32 and 33 to itself.
const rtMin = 34
const rtMax = 64

/**
 * The number of a signal: a name with or without `SIG`, in any case, `RTMIN+n`, `RTMAX-n`, a number, or a number as text.
 *
 * @throws runtime.bad_signal
 */
export function parseSignal(signal: string | number): number {
  const number = typeof signal === 'number' ? signal : numberOf(signal)
  if (!Number.isInteger(number) || number < 1 || number > rtMax)
    throw runtimeErrors.error('bad_signal', {
      message: `"${signal}" is no signal. Give a name such as SIGTERM or SIGRTMIN+3, or a number from 1 to ${rtMax}.`,
      subject: { type: 'signal', id: String(signal) },
    })
  return number
}

function numberOf(text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text)
  const name = `SIG${text.toUpperCase().replace(/^SIG/, '')}`
  const realTime = /^SIGRT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name)
  if (realTime) {
    const [, end, sign, distance] = realTime
    if ((end === 'MIN' && sign === '-') || (end === 'MAX' && sign === '+')) return Number.NaN
    const number = end === 'MIN' ? rtMin + Number(distance ?? 0) : rtMax - Number(distance ?? 0)
    return number >= rtMin && number <= rtMax ? number : Number.NaN
  }
  return Object.hasOwn(numbers, name) ? numbers[name]! : Number.NaN
}

/** `SIGTERM` for 15, `SIGRTMIN+3` for 37; null for what is no signal. */
export function signalName(number: number): string | null {
  for (const [name, value] of Object.entries(numbers)) if (value === number) return name
  if (number < rtMin || number > rtMax) return null
  return number === rtMin ? 'SIGRTMIN' : number === rtMax ? 'SIGRTMAX' : `SIGRTMIN+${number - rtMin}`
}
