import { readdirSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ProcessIdentity } from 'tscontainer/driver-kit'

/** What this driver keeps in a bundle's directory, besides config.json. */
export const bundleFiles = {
  config: 'config.json',
  /** Written by the runtime once the program is being executed. */
  pid: 'runtime.pid',
  /** Errors of the runtime, a JSON object a line. */
  log: 'runtime.log',
  /** What `adopt` needs: see `TaskRecord`. */
  task: 'runtime-task.json',
  /** Exit code of a detached container, with a newline. */
  exit: 'runtime.exit',
  /** A FIFO that the wrapper of a detached container holds open as long as it lives. */
  alive: 'runtime.alive',
  /** A FIFO that whoever took the output of an ended container writes to: until then its pipes are kept open. */
  taken: 'runtime.taken',
  /** Pid of that wrapper, with a newline. */
  wrapper: 'runtime.wrapper',
} as const

/** A started container, for other processes and later ones. */
export interface TaskRecord {
  readonly init: ProcessIdentity
  readonly lifetime: 'process' | 'detached'
}

/** Takes away what an earlier start left, config.json aside. */
export function clearBundle(directory: string): void {
  for (const name of readdirSync(directory)) if (name.startsWith('runtime')) unlinkSync(join(directory, name))
}

export function writeTask(directory: string, record: TaskRecord): void {
  const path = join(directory, bundleFiles.task)
  writeFileSync(`${path}.new`, JSON.stringify(record))
  renameSync(`${path}.new`, path)
}

export function readTask(directory: string): TaskRecord | null {
  const text = readIfThere(join(directory, bundleFiles.task))
  return text === null ? null : (JSON.parse(text) as TaskRecord)
}

/** A whole number on a line of its own; null when the file is missing or not wholly written. */
export function readNumberLine(directory: string, name: string): number | null {
  const match = /^(\d+)\n$/.exec(readIfThere(join(directory, name)) ?? '')
  return match ? Number(match[1]) : null
}

/** When a detached container ended, to the millisecond; null while it has not. */
export function endTime(directory: string): Date | null {
  try {
    return new Date(Math.floor(statSync(join(directory, bundleFiles.exit)).mtimeMs))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** The pid in a pid file; runtimes write it in one piece, without a newline. */
export function readPid(path: string): number | null {
  const text = readIfThere(path)
  return text !== null && /^\d+$/.test(text.trim()) ? Number(text) : null
}

export function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
