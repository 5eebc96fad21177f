import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../errors/host-errors.ts'
import { makeFifo, openFifo } from '../host/pipe.ts'
import { spawnDetached } from '../host/spawn-detached.ts'
import { keeperScript } from './keeper-script.ts'
import type { ContainerServices } from './services.ts'

/**
 * A sleeping `sh` beside a detached container, which stays when the container's holder is killed. It keeps the program's
 * standard input open until somebody ends it, and when nobody has started another monitor a second later, it does.
 * So the pipes never stay without a reader for long, even when a monitor and its watcher die together.
 */
export interface Keeper {
  /** From now on the program reads end of file when the holder lets go as well. */
  endStdin(): void
  /** The container has ended and all of it is stored. */
  leave(): void
  /** Stops talking to it; it takes that for the holder's death. */
  close(): void
}

type Services = Pick<ContainerServices, 'paths' | 'monitorCommand'>

const fifoOf = (directory: string): string => join(directory, 'keeper')

/** Starts the keeper of a container; `stdin` is a descriptor that writes to the program's input, the caller's to close. */
export async function startKeeper(services: Services, directory: string, stdin: number | null): Promise<Keeper> {
  const path = fifoOf(directory)
  // Another file than an earlier keeper's, which finds out that it is forgotten.
  rmSync(path, { force: true })
  makeFifo(path)
  const both = openFifo(path, 'both')
  const read = openSync(path, constants.O_RDONLY)
  const keeper = new HeldKeeper(openFifo(path, 'write'))
  try {
    const { run } = services.paths
    await spawnDetached({
      file: '/bin/sh',
      args: ['-c', keeperScript, 'tscontainer-keeper', path, run, ...services.monitorCommand],
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['ignore', 'ignore', 'ignore', read, ...(stdin === null ? [] : [stdin])],
    })
    return keeper
  } catch (error) {
    keeper.close()
    throw error
  } finally {
    closeSync(read)
    closeSync(both)
  }
}

/** Talks to the keeper that a dead holder left, or starts another one where that is gone too. */
export async function adoptKeeper(services: Services, directory: string, stdin: number | null): Promise<Keeper> {
  return findKeeper(directory) ?? startKeeper(services, directory, stdin)
}

/** Sends a container's keeper away, wherever its holder is. Idempotent. */
export function dismissKeeper(directory: string): void {
  findKeeper(directory)?.leave()
}

function findKeeper(directory: string): HeldKeeper | null {
  try {
    return new HeldKeeper(openSync(fifoOf(directory), constants.O_WRONLY | constants.O_NONBLOCK))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENXIO' || code === 'ENOENT') return null
    throw error
  }
}

class HeldKeeper implements Keeper {
  #fd: number | null

  constructor(fd: number) {
    this.#fd = fd
  }

  endStdin(): void {
    this.#say('stdin')
  }

  leave(): void {
    this.#say('leave')
    this.close()
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd)
    this.#fd = null
  }

  #say(word: string): void {
    if (this.#fd === null) return
    try {
      writeSync(this.#fd, `${word}\n`)
    } catch (error) {
      // It was killed: what it kept open is closed.
      if (errnoOf(error) !== 'EPIPE') throw error
    }
  }
}
