import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { DriverHost, LaunchRequest } from 'tscontainer/driver-kit'
import { bundleFiles } from './bundle-files.ts'

// Says its pid, runs the runtime, leaves the exit code. Descriptor 3 is the FIFO that tells the living that the code is
// there; the runtime must not have it. The shell's own complaints are not the container's output. A FIFO without anybody
// who has it open forgets what it holds: so a child keeps the container's output open until somebody says it was taken. Where the directory is gone nobody will.
const script = [
  'echo $$ >"$1"; code=$2; exec 4>&2 2>/dev/null 5<>"$3"; shift 3',
  '"$@" 2>&4 3>&- 4>&- 5>&-; echo $? >"$code"',
  '[ -e "$code" ] || exit 0',
  '{ read -r word <&5; } 3>&- &',
].join('\n')

/** Wraps the call of a runtime so that its exit code outlives whoever started it. */
export function wrapDetached(request: LaunchRequest, directory: string, alive: number): LaunchRequest {
  const files = [bundleFiles.wrapper, bundleFiles.exit, bundleFiles.taken].map((name) => join(directory, name))
  return {
    ...request,
    file: '/bin/sh',
    args: ['-c', script, 'tscontainer-wait', ...files, request.file, ...request.args],
    stdio: [...request.stdio, alive],
  }
}

/** Makes the FIFO and opens it for the wrapper; for both directions, because opening it for writing would wait. */
export function makeAliveFifo(host: DriverHost, directory: string): number {
  const path = join(directory, bundleFiles.alive)
  host.makeFifo(path)
  host.makeFifo(join(directory, bundleFiles.taken))
  return openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
}

/** Lets go of the output of an ended container; nobody who keeps it is no error. */
export function releaseOutput(directory: string): void {
  try {
    const fd = openSync(join(directory, bundleFiles.taken), constants.O_WRONLY | constants.O_NONBLOCK)
    try {
      writeSync(fd, 'taken\n')
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENXIO' && code !== 'ENOENT') throw error
  }
}

/** Resolves when no wrapper holds the FIFO any longer; at once when it is missing. Does not keep the process alive. */
export function wrapperGone(directory: string): Promise<void> {
  const fd = openAlive(directory)
  if (fd === null) return Promise.resolve()
  // Polling a FIFO reports the end only when somebody wrote after it was opened (fs/pipe.c): a wrapper that is gone
  // already has to be found out by reading.
  if (readsEnd(fd)) {
    closeSync(fd)
    return Promise.resolve()
  }
  return new Promise((resolve) => {
    const socket = new Socket({ fd, readable: true, writable: false })
    socket.once('close', () => resolve())
    socket.once('error', () => socket.destroy())
    socket.unref()
    socket.resume()
  })
}

function openAlive(directory: string): number | null {
  try {
    return openSync(join(directory, bundleFiles.alive), constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Whether a wrapper lives now: while somebody has the FIFO open for writing, reading finds nothing instead of the end. */
export function wrapperAlive(directory: string): boolean {
  const fd = openAlive(directory)
  if (fd === null) return false
  try {
    return !readsEnd(fd)
  } finally {
    closeSync(fd)
  }
}

function readsEnd(fd: number): boolean {
  try {
    readSync(fd, new Uint8Array(1))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false
    throw error
  }
}
