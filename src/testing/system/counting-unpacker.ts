import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { decompressed } from '../../archive/compression.ts'
import { throwIfAborted } from '../../lifetime/call-options.ts'
import type { Digest } from '../../oci/digest.ts'
import type { LayerFile, LayerToUnpack, LayerUnpacker, UnpackOptions } from '../../transfer/layer-unpacker.ts'

/** Reads layers and verifies their diff ids as the real one does, but makes no trees. */
export class CountingUnpacker implements LayerUnpacker {
  readonly chains = new Set<Digest>()
  readonly sources: LayerFile[] = []

  async unpack(layers: readonly LayerToUnpack[], options: UnpackOptions): Promise<void> {
    for (const { diffId, chainId, source } of layers) {
      throwIfAborted(options)
      options.lease.addSnapshot(chainId)
      if (this.chains.has(chainId)) {
        options.report?.({ type: 'item-done', item: diffId, reused: true })
        continue
      }
      const file = 'whole' in source ? await source.whole : source
      const { path, offset, length } = file
      const hash = createHash('sha256')
      const raw = createReadStream(path, { start: offset, end: Math.max(offset, offset + length - 1) })
      for await (const chunk of decompressed(raw, options)) {
        throwIfAborted(options)
        hash.update(chunk)
      }
      const actual = `sha256:${hash.digest('hex')}`
      if (actual !== diffId) throw Object.assign(new Error(`diff id ${diffId} is ${actual}`), { code: 'layer.diff_id' })
      this.chains.add(chainId)
      this.sources.push(file)
      options.report?.({ type: 'item-done', item: diffId, reused: false })
    }
  }
}
