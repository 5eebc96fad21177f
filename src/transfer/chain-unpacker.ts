import { randomBytes } from 'node:crypto'
import { mkdirSync, rmdirSync } from 'node:fs'
import type { LayerSizes } from '../image/layer-sizes.ts'
import { applyLayer } from '../layer/apply-layer.ts'
import type { LayerLimits } from '../layer/layer-limits.ts'
import { ByteMeter } from '../progress/byte-meter.ts'
import type { SnapshotService } from '../snapshot/snapshot-service.ts'
import type { RootPaths } from '../state/paths.ts'
import type { LayerToUnpack, LayerUnpacker, UnpackOptions } from './layer-unpacker.ts'

export interface ChainUnpackerInit {
  readonly storage: SnapshotService
  readonly paths: RootPaths
  readonly sizes: LayerSizes
  readonly limits?: Partial<LayerLimits> | undefined
}

/** Joins layers and storage: each missing link of a chain becomes a draft, gets its layer, and is committed. */
export class ChainUnpacker implements LayerUnpacker {
  readonly #init: ChainUnpackerInit

  constructor(init: ChainUnpackerInit) {
    this.#init = init
  }

  async unpack(layers: readonly LayerToUnpack[], { lease, report, signal }: UnpackOptions): Promise<void> {
    const { storage, paths, limits, sizes } = this.#init
    const applied = new Set<number>()
    await storage.ensureChain(
      layers,
      async (index, mounts, applying) => {
        const { diffId, source } = layers[index]!
        const meter = report && new ByteMeter(report, diffId, null, 0)
        // The worker mounts in its own namespace: here there is only an empty directory.
        const target = paths.workMount(`layer-${randomBytes(8).toString('hex')}`)
        mkdirSync(target, { recursive: true, mode: 0o700 })
        try {
          const { fileBytes } = await applyLayer(
            await source,
            { target, mounts },
            {
              expectDiffId: diffId,
              signal: applying,
              limits,
              onBytes: (bytes) => meter?.add(bytes - meter.done),
            },
          )
          sizes.record(diffId, fileBytes)
        } finally {
          rmdirSync(target)
        }
        applied.add(index)
        report?.({ type: 'item-done', item: diffId, reused: false })
      },
      { signal, lease: lease.id },
    )
    for (const [index, { diffId }] of layers.entries())
      if (!applied.has(index)) report?.({ type: 'item-done', item: diffId, reused: true })
  }
}
