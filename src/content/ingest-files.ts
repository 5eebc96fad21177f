import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Owners } from '../state/owners.ts'

/**
 * Names of the files in `ingest/`: `<owner>.<random>` for a blob that is being written, with `.<ref>` behind it when
 * it can be resumed, and `partial.<ref>` for one that waits to be. A rename claims a partial, so only one process gets
 * it.
 */
export class IngestFiles {
  readonly #directory: string
  readonly #owner: string
  readonly #owners: Owners

  constructor(directory: string, owner: string, owners: Owners) {
    this.#directory = directory
    this.#owner = owner
    this.#owners = owners
  }

  /** A new name of ours; nothing is made. */
  fresh(ref: string | null): string {
    const name = `${this.#owner}.${randomBytes(8).toString('hex')}`
    return join(this.#directory, ref === null ? name : `${name}.${refKey(ref)}`)
  }

  /** Makes the partial of `ref` ours, from wherever it was left, and gives its file; null when there is none. */
  claim(ref: string): string | null {
    const key = refKey(ref)
    const left = readdirSync(this.#directory).filter((name) => {
      const [owner, , tail] = name.split('.')
      return name === `partial.${key}` || (tail === key && owner !== this.#owner && !this.#owners.isAlive(owner!))
    })
    let best: { file: string; size: number } | null = null
    for (const name of left) {
      const mine = this.fresh(ref)
      try {
        renameSync(join(this.#directory, name), mine)
      } catch {
        continue // Somebody else claimed it.
      }
      const { size } = statSync(mine)
      const loser = best && best.size >= size ? mine : best?.file
      if (loser) rmSync(loser, { force: true })
      if (!best || best.size < size) best = { file: mine, size }
    }
    return best?.file ?? null
  }

  /** Puts a file of ours back so that the next attempt at `ref` goes on from it. */
  keep(file: string, ref: string): void {
    renameSync(file, join(this.#directory, `partial.${refKey(ref)}`))
  }

  /** Removes what dead processes left and partials older than `maxAgeMs`; gives the bytes freed. */
  sweep(maxAgeMs: number): number {
    let freed = 0
    for (const name of readdirSync(this.#directory)) {
      const file = join(this.#directory, name)
      const [owner, , key] = name.split('.')
      const facts = statSync(file, { throwIfNoEntry: false })
      if (!facts) continue
      const partial = owner === 'partial'
      if (!partial && (owner === this.#owner || this.#owners.isAlive(owner!))) continue
      try {
        if (!partial && key !== undefined && /^[0-9a-f]{64}$/.test(key)) {
          renameSync(file, join(this.#directory, `partial.${key}`))
          continue
        }
        if (partial && Date.now() - facts.mtimeMs < maxAgeMs) continue
        rmSync(file)
        freed += facts.size
      } catch (error) {
        // Another sweep was faster.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
    return freed
  }
}

const refKey = (ref: string): string => createHash('sha256').update(ref).digest('hex')
