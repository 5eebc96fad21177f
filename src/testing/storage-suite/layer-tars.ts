import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DraftId } from '../../driver-kit/ids.ts'
import type { MountSpec } from '../../host/mount-spec.ts'
import { applyLayer } from '../../layer/apply-layer.ts'
import { packChanges } from '../../layer/pack-changes.ts'
import type { StorageCase } from './suite-case.ts'

export interface PackedLayer {
  readonly path: string
  readonly entries: number
  readonly sha256: string
}

/** Layers as tars, between the drafts of one driver or several. */
export class LayerTars {
  readonly #directory: string
  #counter = 0

  constructor(given: StorageCase) {
    this.#directory = join(given.context.runDirectory, 'tars')
    mkdirSync(this.#directory, { recursive: true })
  }

  /** What a draft changes, as an OCI layer. The draft must not be mounted. */
  async pack(given: StorageCase, draft: DraftId): Promise<PackedLayer> {
    const hint = await given.driver.changes?.(draft)
    assert(hint, 'changeHint is declared, and there is no hint')
    const path = join(this.#directory, `layer-${this.#counter++}.tar`)
    const output = openSync(path, 'w')
    try {
      const { entries } = await packChanges(hint, output, { scratch: this.#directory })
      return { path, entries, sha256: createHash('sha256').update(readFileSync(path)).digest('hex') }
    } finally {
      closeSync(output)
    }
  }

  async apply(path: string, mounts: readonly MountSpec[]): Promise<void> {
    const target = join(this.#directory, `target-${this.#counter++}`)
    mkdirSync(target)
    await applyLayer({ path, offset: 0, length: statSync(path).size }, { target, mounts })
    rmSync(target, { recursive: true })
  }
}
