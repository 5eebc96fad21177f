import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { hostErrors, systemError } from '../../errors/host-errors.ts'
import { memo } from '../memo.ts'

type Koffi = typeof import('koffi')

/** A path as text or as bytes: file names need not be UTF-8. */
export type Path = string | Uint8Array

// Loading koffi costs about 10 ms and 8 MB: only whoever makes a system call pays.
const koffi = memo((): Koffi => createRequire(import.meta.url)('koffi'))
// No name: what the process has loaded already, whichever libc that is.
const library = memo(() => koffi().load(null))

type Parameter = 'int' | 'uint' | 'long' | 'ulong' | 'size_t' | 'int64' | 'uint64' | 'void *' | 'const char **'

/** A libc function, bound on first use. Arguments typed `void *` take buffers or null, `const char **` lists of text. */
export function bind<Arguments extends readonly (number | bigint | Uint8Array | null | readonly (string | null)[])[]>(
  name: string,
  result: 'int' | 'long' | 'int64',
  parameters: readonly Parameter[],
): (...args: Arguments) => number {
  const native = memo(() => library().func(name, result, [...parameters]))
  return (...args) => Number(native()(...args))
}

/** The same in a pool thread, for calls that wait for the kernel. Their errno is lost: -1 says only that it failed. */
export function bindAsync<Arguments extends readonly (number | bigint | Uint8Array | null)[]>(
  name: string,
  result: 'int' | 'long' | 'int64',
  parameters: readonly Parameter[],
): (...args: Arguments) => Promise<number> {
  const native = memo(() => library().func(name, result, [...parameters]))
  return (...args) =>
    new Promise((resolve, reject) => {
      native().async(...args, (error: unknown, value: number | bigint) => {
        if (error) reject(error)
        else resolve(Number(value))
      })
    })
}

const names = new Map(Object.entries(constants.errno).map(([name, number]) => [number as number, name]))
// Shared numbers: the name that callers test for wins.
names.set(constants.errno.EAGAIN, 'EAGAIN').set(constants.errno.EOPNOTSUPP, 'EOPNOTSUPP')
// Linux only, so missing in Node's table.
names.set(61, 'ENODATA').set(117, 'EUCLEAN').set(40, 'ELOOP').set(122, 'EDQUOT').set(6, 'ENXIO').set(19, 'ENODEV')
names.set(105, 'ENOBUFS').set(16, 'EBUSY').set(26, 'ETXTBSY').set(85, 'ERESTART')

export function errnoName(number: number): string {
  return names.get(number) ?? `E${number}`
}

/** Name of the calling thread's last errno. */
export function lastErrno(): string {
  return errnoName(koffi().errno())
}

/** Gives the result back, or throws the typed error of the call when it is -1. */
export function check(result: number, syscall: string, path?: Path): number {
  if (result === -1)
    throw systemError({ errno: lastErrno(), syscall, path: path === undefined ? undefined : printable(path) })
  return result
}

export function printable(path: Path): string {
  return typeof path === 'string' ? path : Buffer.from(path).toString()
}

/** NUL-terminated bytes. */
export function cString(text: Path): Uint8Array {
  const bytes = typeof text === 'string' ? Buffer.from(`${text}\0`) : Buffer.concat([text, Buffer.alloc(1)])
  if (bytes.indexOf(0) !== bytes.length - 1)
    throw hostErrors.error('bad_path', {
      message: `${JSON.stringify(printable(text))} holds a NUL byte and cannot be given to the kernel.`,
    })
  return bytes
}

/** NUL-terminated bytes, or null for the empty string. */
export function cStringOrNull(text: Path | null): Uint8Array | null {
  return text === null ? null : cString(text)
}
