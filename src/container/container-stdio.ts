import { closeSync, constants, existsSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Stdio } from '../driver-kit/runtime-driver.ts'
import { createPipe, makeFifo, openFifo, setPipeCapacity } from '../host/pipe.ts'
import type { Lifetime } from './container-record.ts'
import { reopenNonBlocking } from './descriptor-streams.ts'

/** What a FIFO holds while no process reads it: the kernel's default limit for pipes (pipe(7)). */
const capacity = 1 << 20

/** A container's standard streams: the ends it gets, and the ends its holder keeps. */
export interface ContainerStdio {
  readonly given: Stdio
  readonly stdout: number
  readonly stderr: number
  /** Null when the program reads end of file. */
  readonly stdin: number | null
  /** Whether reading sees the end: pipes do, FIFOs that are open for both directions do not. */
  readonly seesEnd: boolean
  /** Closes the ends that the container has got by now. */
  closeGiven(): void
  /** Closes everything; descriptors that a log pump owns are left to it. */
  closeAll(): void
}

const fifoPaths = (directory: string) => ({
  stdin: join(directory, 'stdin'),
  stdout: join(directory, 'stdout'),
  stderr: join(directory, 'stderr'),
})

/** Says that somebody ended the program's input: the next holder must not open it again. */
const endMark = (directory: string) => join(directory, 'stdin.ended')

export function markStdinEnded(directory: string): void {
  writeFileSync(endMark(directory), '')
}

export const stdinEnded = (directory: string): boolean => existsSync(endMark(directory))

/**
 * Anonymous pipes for `process` containers. Named ones for `detached`: opened for both directions by the container, so
 * that the death of its holder is no SIGPIPE, and another holder finds them by name.
 */
export function openStdio(lifetime: Lifetime, withStdin: boolean, directory: string): ContainerStdio {
  return lifetime === 'process' ? anonymousStdio(withStdin) : namedStdio(withStdin, directory)
}

function anonymousStdio(withStdin: boolean): ContainerStdio {
  const out = createPipe()
  const err = createPipe()
  const input = withStdin ? createPipe() : null
  const stdin = input ? input.read : openSync('/dev/null', 'r')
  const writer = input ? reopenNonBlocking(input.write) : null
  return assemble({ stdin, stdout: out.write, stderr: err.write }, out.read, err.read, writer, true)
}

function namedStdio(withStdin: boolean, directory: string): ContainerStdio {
  const paths = fifoPaths(directory)
  // New files: whoever still has those of an earlier run open has nothing to do with this one.
  for (const path of [...Object.values(paths), endMark(directory)]) rmSync(path, { force: true })
  makeFifo(paths.stdout)
  makeFifo(paths.stderr)
  const input = withStdin ? openStdin(paths.stdin) : null
  const open = (path: string) => openSync(path, constants.O_RDWR)
  const given = {
    stdin: input ? input.read : openSync('/dev/null', 'r'),
    stdout: open(paths.stdout),
    stderr: open(paths.stderr),
  }
  setPipeCapacity(given.stdout, capacity)
  setPipeCapacity(given.stderr, capacity)
  return assemble(given, openFifo(paths.stdout, 'both'), openFifo(paths.stderr, 'both'), input?.write ?? null, false)
}

// The program's end is for reading only, so that it sees the end when the last writer leaves.
function openStdin(path: string): { read: number; write: number } {
  makeFifo(path)
  const both = openFifo(path, 'both')
  const read = openSync(path, constants.O_RDONLY)
  const write = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  closeSync(both)
  return { read, write }
}

/** The holder's ends of the streams of a detached container that was started before; null when it has none. */
export function reopenStdio(
  withStdin: boolean,
  directory: string,
): Pick<ContainerStdio, 'stdin' | 'stdout' | 'stderr' | 'seesEnd'> | null {
  const paths = fifoPaths(directory)
  // Made one after the other, before anything was started.
  if (!existsSync(paths.stdout) || !existsSync(paths.stderr)) return null
  const stdin = withStdin && !stdinEnded(directory) && existsSync(paths.stdin) ? openFifo(paths.stdin, 'both') : null
  return { stdin, stdout: openFifo(paths.stdout, 'both'), stderr: openFifo(paths.stderr, 'both'), seesEnd: false }
}

function assemble(
  given: { stdin: number; stdout: number; stderr: number },
  stdout: number,
  stderr: number,
  stdin: number | null,
  seesEnd: boolean,
): ContainerStdio {
  const closeGiven = once(() => closeAll([given.stdin, given.stdout, given.stderr]))
  return {
    given: { kind: 'pipes', ...given },
    stdout,
    stderr,
    stdin,
    seesEnd,
    closeGiven,
    closeAll: once(() => {
      closeGiven()
      closeAll([stdin])
    }),
  }
}

function once(work: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    work()
  }
}

function closeAll(descriptors: readonly (number | null)[]): void {
  for (const descriptor of descriptors) if (descriptor !== null) closeSync(descriptor)
}
