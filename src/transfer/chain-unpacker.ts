import { randomBytes } from 'node:crypto'
import { mkdirSync, rmdirSync } from 'node:fs'
import { isEngineError } from '../errors/engine-error.ts'
import type { MountSpec } from '../host/mount-spec.ts'
import type { LayerSizes } from '../image/layer-sizes.ts'
import { applyLayer } from '../layer/apply-layer.ts'
import type { LayerLimits } from '../layer/layer-limits.ts'
import { throwIfAborted } from '../lifetime/call-options.ts'
import { ByteMeter } from '../progress/byte-meter.ts'
import type { SnapshotService } from '../snapshot/snapshot-service.ts'
import type { RootPaths } from '../state/paths.ts'
import type { LayerBeginning } from './coming-layer.ts'
import type { LayerFile, LayerToUnpack, LayerUnpacker, UnpackOptions } from './layer-unpacker.ts'

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

  async unpack(layers: readonly LayerToUnpack[], options: UnpackOptions): Promise<void> {
    const applied = new Set<number>()
    // Which of them are stored and verified. The others are unpacked while they come.
    const files = new Map<number, LayerFile>()
    while (!(await this.#ensure(layers, files, applied, options)));
    for (const [index, { diffId }] of layers.entries())
      if (!applied.has(index)) options.report?.({ type: 'item-done', item: diffId, reused: true })
  }

  /** False when a layer was unpacked from unverified bytes that were bad or have changed: it is whole now. */
  async #ensure(
    layers: readonly LayerToUnpack[],
    files: Map<number, LayerFile>,
    applied: Set<number>,
    { lease, report, signal }: UnpackOptions,
  ): Promise<boolean> {
    let unverified: number | null = null
    try {
      await this.#init.storage.ensureChain(
        layers,
        async (index, mounts, applying) => {
          const { diffId, source } = layers[index]!
          const file = files.get(index) ?? ('whole' in source ? await source.beginning : source)
          unverified = 'lost' in file ? index : null
          await this.#apply(layers[index]!, file, mounts, { report, signal: applying })
          unverified = null
          applied.add(index)
          report?.({ type: 'item-done', item: diffId, reused: false })
        },
        { signal, lease: lease.id },
      )
      return true
    } catch (error) {
      const at = unverified as number | null
      const source = at === null ? null : layers[at]!.source
      if (at === null || !source || !('whole' in source) || !mayBeTheBytes(error)) throw error
      throwIfAborted({ signal }, 'Unpacking layers')
      // When it cannot be fetched, that is the failure.
      files.set(at, await source.whole)
      return false
    }
  }

  async #apply(
    { diffId }: LayerToUnpack,
    file: LayerFile | LayerBeginning,
    mounts: readonly MountSpec[],
    { report, signal }: Pick<UnpackOptions, 'report' | 'signal'>,
  ): Promise<void> {
    const { paths, limits, sizes } = this.#init
    const meter = report && new ByteMeter(report, diffId, null, 0)
    // The worker mounts in its own namespace: here there is only an empty directory.
    const target = paths.workMount(`layer-${randomBytes(8).toString('hex')}`)
    mkdirSync(target, { recursive: true, mode: 0o700 })
    const signals = [signal, 'lost' in file ? file.lost : undefined].filter((one) => one !== undefined)
    try {
      const { fileBytes } = await applyLayer(
        file,
        { target, mounts },
        {
          expectDiffId: diffId,
          signal: signals.length === 0 ? undefined : AbortSignal.any(signals),
          limits,
          onBytes: (bytes) => meter?.set(bytes),
        },
      )
      sizes.record(diffId, fileBytes)
    } finally {
      rmdirSync(target)
    }
  }
}

// Damaged bytes can look like anything, except like a full disk.
const mayBeTheBytes = (error: unknown): boolean => isEngineError(error) && error.code !== 'layer.disk_full'
