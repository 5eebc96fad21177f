import { close, closeSync, openSync, readFileSync, write } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readMountTable } from '../mount-info.ts'
import { parseHierarchies } from './hierarchy.ts'

/** Shorter than the shortest time that a move leaves the kernel's lock quick. */
const PAUSE_MS = 3
/** Runtimes move their process within this time, or are late for other reasons; each of our moves stops all forks shortly. */
const LONGEST_MS = 100

/**
 * Takes the wait out of starting containers. The kernel guards every move of a process into a cgroup with one lock for
 * the whole machine, and who takes that lock after some 10 ms of rest waits for an RCU grace period: 6 to 18 ms, most of
 * what a start takes. A move that changes nothing - of a process of ours into the cgroup in which it is - waits just as
 * long, but in a pool thread, beside the work that precedes the real one; repeated, it keeps the lock quick until then.
 * Source: kernel/cgroup/cgroup.c (cgroup_threadgroup_rwsem), kernel/rcu/sync.c.
 *
 * The process must be one that nobody but this process moves.
 */
export class QuickMoves implements AsyncDisposable {
  readonly #pid: () => number | null
  #file: { readonly pid: number; readonly fd: number } | null = null
  #holds = 0
  #until = 0
  #running: Promise<void> | null = null

  constructor(pid: () => number | null) {
    this.#pid = pid
  }

  /** Makes moves quick from about 10 ms on until disposal, for 100 ms at most. Costs a write of 0.03 ms now and then. */
  hold(): Disposable {
    this.#holds++
    this.#until = performance.now() + LONGEST_MS
    this.#running ??= this.#run().finally(() => {
      this.#running = null
    })
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (held) this.#holds--
        held = false
      },
    }
  }

  async #run(): Promise<void> {
    do {
      if (!(await this.#move())) return
      await sleep(PAUSE_MS)
    } while (this.#holds > 0 && performance.now() < this.#until)
  }

  /** False when there is nothing to move: starts take longer then, no more. */
  async #move(): Promise<boolean> {
    const pid = this.#pid()
    if (pid === null) return false
    try {
      if (this.#file?.pid !== pid) this.#open(pid)
    } catch {
      return false
    }
    const { fd } = this.#file!
    return new Promise((resolve) => write(fd, String(pid), (error) => resolve(error === null)))
  }

  #open(pid: number): void {
    if (this.#file) closeSync(this.#file.fd)
    this.#file = null
    const { all, used } = parseHierarchies(readMountTable('self'), readFileSync(`/proc/${pid}/cgroup`, 'utf8'))
    const place = used[0] ?? all[0]
    if (!place) throw new TypeError('no cgroups')
    this.#file = { pid, fd: openSync(join(place.directory, place.own, 'cgroup.procs'), 'w') }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#holds = 0
    await this.#running
    const file = this.#file
    this.#file = null
    if (file) await new Promise<void>((resolve) => close(file.fd, () => resolve()))
  }
}
