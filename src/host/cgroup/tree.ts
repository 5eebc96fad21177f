import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortError } from '../../errors/call-errors.ts'
import { errnoOf, fromNodeError, hostErrors } from '../../errors/host-errors.ts'
import type { CallOptions } from '../../lifetime/call-options.ts'
import { directoriesOf, hierarchies, words } from './hierarchy.ts'

// All paths are cgroup paths below the hierarchies' roots, such as `/tscontainer/<id>/<container>`.

export interface TreeOptions extends CallOptions {
  /** How long to wait for the kernel; default 10,000. */
  readonly timeoutMs?: number
}

/** Errors that mean that the cgroup or the process went away meanwhile. */
const gone = new Set(['ENOENT', 'ENODEV', 'ESRCH'])

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (gone.has(errnoOf(error) ?? '')) return null
    throw fromNodeError(error)
  }
}

function write(file: string, value: string): boolean {
  try {
    writeFileSync(file, value)
    return true
  } catch (error) {
    if (gone.has(errnoOf(error) ?? '')) return false
    throw fromNodeError(error)
  }
}

/** The directory and all below it, children before parents; empty when it is gone. */
function descend(directory: string): string[] {
  let entries: string[]
  try {
    entries = readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
  } catch (error) {
    if (gone.has(errnoOf(error) ?? '')) return []
    throw fromNodeError(error)
  }
  return [...entries.flatMap((name) => descend(join(directory, name))), directory]
}

/** Asks until `done`; false after the time. */
async function waitFor(done: () => boolean, options: TreeOptions | undefined, what: string): Promise<boolean> {
  const end = performance.now() + (options?.timeoutMs ?? 10_000)
  for (let pause = 1; !done(); pause = Math.min(50, pause * 1.5)) {
    if (performance.now() > end) return false
    try {
      await sleep(pause, undefined, { signal: options?.signal })
    } catch (error) {
      throw options?.signal?.aborted ? abortError(options.signal, what) : error
    }
  }
  return true
}

/** Whether the cgroup exists in any hierarchy. */
export function cgroupExists(path: string): boolean {
  return directoriesOf(path).some((directory) => existsSync(directory))
}

function processesIn(directory: string): number[] {
  // A process of an outer pid namespace reads as 0, and signalling 0 would end our own group.
  return descend(directory)
    .flatMap((d) => words(readOrNull(join(d, 'cgroup.procs')) ?? '').map(Number))
    .filter((pid) => pid > 0)
}

/** Where the processes of a cgroup are to be found and stopped. */
function mainDirectory(path: string): string | null {
  return directoriesOf(path).find((directory) => existsSync(directory)) ?? null
}

/** Pids in it and below it; empty when it does not exist. */
export function processesOf(path: string): number[] {
  const directory = mainDirectory(path)
  return directory === null ? [] : processesIn(directory)
}

function killNow(directory: string): void {
  if (existsSync(join(directory, 'cgroup.kill'))) {
    write(join(directory, 'cgroup.kill'), '1')
    return
  }
  // Frozen processes cannot fork away from the list; on v1 SIGKILL reaches them when they are thawed.
  const freezer = ['freezer.state', 'cgroup.freeze'].find((name) => existsSync(join(directory, name)))
  const frozen = freezer !== undefined && write(join(directory, freezer), freezer === 'freezer.state' ? 'FROZEN' : '1')
  try {
    for (const pid of processesIn(directory))
      try {
        process.kill(pid, 'SIGKILL')
      } catch (error) {
        if (errnoOf(error) !== 'ESRCH') throw fromNodeError(error)
      }
  } finally {
    // Also those that somebody paused one by one.
    if (frozen)
      for (const below of descend(directory)) write(join(below, freezer), freezer === 'freezer.state' ? 'THAWED' : '0')
  }
}

/**
 * Ends every process in it and below it, also paused ones and those that fork meanwhile; resolves when none is left.
 * Idempotent. Rejects with `host.stuck` when some do not die in time.
 */
export async function killTree(path: string, options?: TreeOptions): Promise<void> {
  const directories = directoriesOf(path).filter((directory) => existsSync(directory))
  // One hierarchy's list is enough where a process is in all of them; a half-made container may be in one only.
  const round = () => {
    let left = false
    for (const directory of directories) {
      if (processesIn(directory).length === 0) continue
      left = true
      killNow(directory)
    }
    return !left
  }
  if (await waitFor(round, options, `Ending the processes of ${path}`)) return
  const pids = processesOf(path)
  throw hostErrors.error('stuck', {
    message: `Processes of the cgroup ${path} survived SIGKILL: ${pids.join(', ')}. Look at /proc/<pid>/stack.`,
    subject: { type: 'cgroup', id: path },
    details: { pids },
  })
}

/**
 * Removes it and everything below in every hierarchy; waits while dying processes keep it busy, but ends none.
 * Idempotent.
 */
export async function removeTree(path: string, options?: TreeOptions): Promise<void> {
  let busy = ''
  const attempt = () => {
    busy = ''
    for (const directory of allDirectories(path))
      for (const below of descend(directory))
        try {
          rmdirSync(below)
        } catch (error) {
          const errno = errnoOf(error)
          if (errno === 'EBUSY' || errno === 'ENOTEMPTY') busy = below
          else if (!gone.has(errno ?? '')) throw fromNodeError(error)
        }
    return busy === ''
  }
  if (await waitFor(attempt, options, `Removing the cgroup ${path}`)) return
  throw hostErrors.error('stuck', {
    message: `The cgroup ${busy} stays busy: something lives in it or dies slowly. End it, then try again.`,
    subject: { type: 'cgroup', id: path },
    details: { pids: processesOf(path) },
  })
}

/** On hybrid hosts some runtimes also leave a directory in the v2 tree. */
function allDirectories(path: string): string[] {
  return hierarchies().all.map((h) => join(h.directory, path))
}

/** How many of its processes the kernel killed for want of memory; 0 where that is not counted. */
export function readOomKills(path: string): number {
  let kills = 0
  for (const directory of directoriesOf(path))
    for (const file of ['memory.oom_control', 'memory.events']) {
      const text = existsSync(join(directory, file)) ? readOrNull(join(directory, file)) : null
      kills += Number(/^oom_kill (\d+)/m.exec(text ?? '')?.[1] ?? 0)
    }
  return kills
}

interface Freezer {
  readonly file: string
  readonly version: 1 | 2
}

function findFreezer(path: string): Freezer | null {
  for (const directory of directoriesOf(path))
    for (const [name, version] of [
      ['freezer.state', 1],
      ['cgroup.freeze', 2],
    ] as const)
      if (existsSync(join(directory, name))) return { file: join(directory, name), version }
  return null
}

function freezerOf(path: string): Freezer {
  const freezer = findFreezer(path)
  if (freezer) return freezer
  throw hostErrors.error('not_found', {
    message: `The cgroup ${path} does not exist in a hierarchy that can freeze. Is the container running?`,
    subject: { type: 'cgroup', id: path },
  })
}

/** Whether all its processes are stopped; false where it is not, or not any more: it goes from hierarchy to hierarchy. */
export function isFrozen(path: string): boolean {
  const freezer = findFreezer(path)
  if (!freezer) return false
  const { file, version } = freezer
  if (version === 1) return readOrNull(file)?.trim() === 'FROZEN'
  return /^frozen 1/m.test(readOrNull(file.replace(/freeze$/, 'events')) ?? '')
}

/** Stops all its processes; resolves when the kernel confirms. On failure and abort they run on. */
export async function freeze(path: string, options?: TreeOptions): Promise<void> {
  const { file, version } = freezerOf(path)
  const stop = () => {
    // v1 needs the request again when processes were born while it froze.
    if (version === 1) write(file, 'FROZEN')
    return isFrozen(path)
  }
  let frozen = false
  try {
    if (version === 2) write(file, '1')
    frozen = await waitFor(stop, options, `Freezing ${path}`)
  } finally {
    if (!frozen) write(file, version === 1 ? 'THAWED' : '0')
  }
  if (!frozen)
    throw hostErrors.error('stuck', {
      message: `The processes of ${path} could not be frozen in time; they run on. One may be stuck in the kernel.`,
      subject: { type: 'cgroup', id: path },
    })
}

/** Lets them run; resolves when the kernel confirms. */
export async function thaw(path: string, options?: TreeOptions): Promise<void> {
  const { file, version } = freezerOf(path)
  write(file, version === 1 ? 'THAWED' : '0')
  const runs = () =>
    version === 1
      ? readOrNull(file)?.trim() !== 'FROZEN'
      : !/^frozen 1/m.test(readOrNull(file.replace(/freeze$/, 'events')) ?? '')
  if (!(await waitFor(runs, options, `Thawing ${path}`)))
    throw hostErrors.error('stuck', {
      message: `The cgroup ${path} could not be thawed: a cgroup above it is frozen.`,
      subject: { type: 'cgroup', id: path },
    })
}
