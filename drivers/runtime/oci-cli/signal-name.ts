import { constants } from 'node:os'

const firstRealTime = 34
const lastSignal = 64

/** The signal that an exit code of 128 + n stands for, as shells and runtimes report it; null for other codes. */
export function signalOfExitCode(exitCode: number): string | null {
  const number = exitCode - 128
  if (number < 1 || number > lastSignal) return null
  for (const [name, value] of Object.entries(constants.signals))
    if (value === number && name !== 'SIGIOT' && name !== 'SIGPOLL' && name !== 'SIGUNUSED') return name
  if (number < firstRealTime) return null
  return number === firstRealTime ? 'SIGRTMIN' : `SIGRTMIN+${number - firstRealTime}`
}
