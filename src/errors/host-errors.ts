import { type EngineError, isEngineError } from './engine-error.ts'
import { defineErrors } from './family.ts'

/** Failures of the machine: system calls, programs, helper threads. Details carry `errno`, `syscall` and `path`. */
export const hostErrors = defineErrors('host', {
  exhausted: {
    kind: 'resource_exhausted',
    help: 'The kernel ran out of disk space, quota, memory, descriptors or processes. The message names which.',
  },
  denied: {
    kind: 'permission_denied',
    help: 'The kernel refused. The engine needs root with CAP_SYS_ADMIN; inside a container start that one privileged.',
  },
  not_found: { kind: 'not_found', help: 'A file or object that a system call named does not exist.' },
  exists: { kind: 'already_exists', help: 'A file or object that a system call was to make exists already.' },
  busy: { kind: 'conflict', help: 'The object is mounted, locked or otherwise in use.' },
  unsupported: {
    kind: 'unsupported',
    help: 'This kernel or file system cannot do it. `tscontainer doctor` lists what is missing.',
  },
  invalid: {
    kind: 'invalid_argument',
    help: 'The kernel did not accept an argument; its log (dmesg) often says which.',
  },
  unavailable: { kind: 'unavailable', help: 'The kernel said to try again, or a peer is gone.' },
  syscall_failed: { kind: 'internal', help: 'A system call failed in a way that is not expected here.' },
  bad_path: { kind: 'invalid_argument', help: 'Paths must not hold NUL bytes and must fit into 4,095 bytes.' },
  program_missing: {
    kind: 'unsupported',
    help: 'A program is not installed or not on PATH. The message names it and the package that brings it.',
  },
  program_failed: {
    kind: 'internal',
    help: 'A program ended with an unexpected status; its last lines are in the message.',
  },
  program_timeout: { kind: 'timeout', help: 'A program did not end in time and was killed.' },
  program_output: { kind: 'resource_exhausted', help: 'A program wrote more than the allowed output and was killed.' },
  launcher_lost: {
    kind: 'unavailable',
    help: 'The launcher thread ended. The next call starts another; what it had mounted is gone.',
  },
  stuck: { kind: 'timeout', help: 'Processes or a cgroup did not go away in time; they are stuck in the kernel.' },
})

type HostReason = keyof typeof hostErrors.codes & string

const reasons: Readonly<Record<string, HostReason>> = {
  ENOSPC: 'exhausted',
  EDQUOT: 'exhausted',
  EMFILE: 'exhausted',
  ENFILE: 'exhausted',
  ENOMEM: 'exhausted',
  ENOBUFS: 'exhausted',
  EMLINK: 'exhausted',
  EPERM: 'denied',
  EACCES: 'denied',
  EROFS: 'denied',
  ENOENT: 'not_found',
  ESRCH: 'not_found',
  ENXIO: 'not_found',
  EEXIST: 'exists',
  ENOTEMPTY: 'exists',
  EBUSY: 'busy',
  ETXTBSY: 'busy',
  ENOSYS: 'unsupported',
  EOPNOTSUPP: 'unsupported',
  ENODEV: 'unsupported',
  EAFNOSUPPORT: 'unsupported',
  EPROTONOSUPPORT: 'unsupported',
  EINVAL: 'invalid',
  ENOTDIR: 'invalid',
  EISDIR: 'invalid',
  ELOOP: 'invalid',
  ENAMETOOLONG: 'invalid',
  ERANGE: 'invalid',
  E2BIG: 'invalid',
  EXDEV: 'invalid',
  EAGAIN: 'unavailable',
  EINTR: 'unavailable',
  ECONNREFUSED: 'unavailable',
  ECONNRESET: 'unavailable',
  EPIPE: 'unavailable',
}

export interface SystemFailure {
  /** Name, such as `ENOSPC`. */
  readonly errno: string
  readonly syscall: string
  /** What the call was about. */
  readonly path?: string | undefined
  readonly cause?: unknown
  /** Replaces the first half of the message. */
  readonly what?: string | undefined
}

/** The error of a failed system call; its kind follows from the errno. */
export function systemError(failure: SystemFailure): EngineError {
  const { errno, syscall, path } = failure
  const reason = reasons[errno] ?? 'syscall_failed'
  const what = failure.what ?? (path === undefined ? syscall : `${syscall} of ${path}`)
  return hostErrors.error(reason, {
    message: `${what} failed with ${errno}. ${hostErrors.codes[reason].help}`,
    subject: path === undefined ? undefined : { type: 'path', id: path },
    retryable: errno === 'EAGAIN' || errno === 'EINTR',
    cause: failure.cause,
    details: path === undefined ? { errno, syscall } : { errno, syscall, path },
  })
}

/** The errno name of an error of ours or of Node's own calls; `null` for others. */
export function errnoOf(error: unknown): string | null {
  if (isEngineError(error)) return typeof error.details['errno'] === 'string' ? error.details['errno'] : null
  if (error instanceof Error && 'code' in error && typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code))
    return error.code
  return null
}

/** Turns an error of Node's `fs` into a typed one; others pass through. */
export function fromNodeError(error: unknown, what?: string): unknown {
  if (isEngineError(error) || !(error instanceof Error)) return error
  const errno = errnoOf(error)
  if (errno === null || !('syscall' in error)) return error
  const path = 'path' in error && typeof error.path === 'string' ? error.path : undefined
  return systemError({ errno, syscall: String(error.syscall), path, cause: error, what })
}
