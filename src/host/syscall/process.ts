import { bind, check, lastErrno } from './libc.ts'
import { syscallNumber } from './numbers.ts'

const pidfdOpenCall = bind<[number, number, number]>('syscall', 'long', ['long', 'int', 'uint'])
const pidfdSendSignalCall = bind<[number, number, number, null, number]>('syscall', 'long', [
  'long',
  'int',
  'int',
  'void *',
  'uint',
])
const prctlCall = bind<[number, number, number, number, number]>('prctl', 'int', [
  'int',
  'ulong',
  'ulong',
  'ulong',
  'ulong',
])

/** pidfd_open(2), close-on-exec; `null` when there is no such process. */
export function pidfdOpen(pid: number): number | null {
  const fd = pidfdOpenCall(syscallNumber('pidfd_open'), pid, 0)
  if (fd === -1 && lastErrno() === 'ESRCH') return null
  return check(fd, 'pidfd_open')
}

/** False when the process has ended. */
export function pidfdSendSignal(pidfd: number, signal: number): boolean {
  const result = pidfdSendSignalCall(syscallNumber('pidfd_send_signal'), pidfd, signal, null, 0)
  if (result === -1 && lastErrno() === 'ESRCH') return false
  check(result, 'pidfd_send_signal')
  return true
}

/** prctl(2) PR_SET_CHILD_SUBREAPER. */
export function setChildSubreaper(on: boolean): void {
  check(prctlCall(36, on ? 1 : 0, 0, 0, 0), 'prctl(PR_SET_CHILD_SUBREAPER)')
}
