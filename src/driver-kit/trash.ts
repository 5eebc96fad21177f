import { lstatSync, readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { errnoOf } from '../errors/host-errors.ts'
import type { DiagnosticsSink } from './diagnostics.ts'
import type { DriverHost } from './driver-host.ts'

/** Trees up to this many entries are deleted in process; a larger one is worth a `rm -rf` of its own. */
const smallTree = 100
/** Milliseconds that a small tree waits, so that deleting is off the path of whoever removes a container. */
const pause = 20

/**
 * Deletes trees crash-safely: what is renamed into its directory is gone for everybody at once, and is deleted later;
 * what a crash leaves there is deleted by the next `sweep`.
 */
export class Trash {
  readonly #directory: string
  readonly #host: DriverHost
  readonly #report: DiagnosticsSink
  #waiting: string[] = []
  #timer: NodeJS.Timeout | null = null
  #running: Promise<void> = Promise.resolve()

  constructor(directory: string, host: DriverHost, report: DiagnosticsSink) {
    this.#directory = directory
    this.#host = host
    this.#report = report
  }

  /** Takes a file or directory of the same file system away. False when it is not there. */
  take(path: string, name: string): boolean {
    const target = join(this.#directory, name)
    try {
      renameSync(path, target)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    }
    this.#enqueue(target)
    return true
  }

  /** Deletes what earlier processes left. */
  sweep(): void {
    for (const name of readdirSync(this.#directory)) this.#enqueue(join(this.#directory, name))
  }

  /** Resolves when everything taken so far is deleted. */
  async empty(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#start()
    await this.#running
  }

  #enqueue(path: string): void {
    this.#waiting.push(path)
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.#start()
    }, pause).unref()
  }

  #start(): void {
    const paths = this.#waiting
    if (paths.length === 0) return
    this.#waiting = []
    this.#running = this.#running.then(() => this.#delete(paths))
  }

  async #delete(paths: readonly string[]): Promise<void> {
    try {
      const large: string[] = []
      for (const path of paths) {
        if (!deleteSmall(path, { left: smallTree })) large.push(path)
        // Others have their turn after each tree.
        await immediate()
      }
      for (let i = 0; i < large.length; i += 100)
        await this.#host.run('rm', ['-rf', '--', ...large.slice(i, i + 100)], { timeoutMs: 3_600_000 })
    } catch (error) {
      this.#report({
        level: 'warning',
        source: 'storage',
        message: `Deleting removed trees below ${this.#directory} failed; the next open tries again.`,
        error,
      })
    }
  }
}

/** Deletes at most `budget.left` entries; false when there are more, or when something keeps it from deleting. */
function deleteSmall(path: string, budget: { left: number }): boolean {
  if (--budget.left < 0) return false
  try {
    if (!lstatSync(path).isDirectory()) {
      unlinkSync(path)
      return true
    }
    for (const name of readdirSync(path, { encoding: 'buffer' })) {
      const child = Buffer.concat([Buffer.from(`${path}/`), name])
      if (!deleteEntry(child, budget)) return false
    }
    rmdirSync(path)
    return true
  } catch (error) {
    return errnoOf(error) === 'ENOENT'
  }
}

function deleteEntry(path: Buffer, budget: { left: number }): boolean {
  if (--budget.left < 0) return false
  if (!lstatSync(path).isDirectory()) {
    unlinkSync(path)
    return true
  }
  for (const name of readdirSync(path, { encoding: 'buffer' }))
    if (!deleteEntry(Buffer.concat([path, Buffer.from('/'), name]), budget)) return false
  rmdirSync(path)
  return true
}
