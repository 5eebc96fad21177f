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
