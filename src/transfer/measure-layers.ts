import type { ContentStore } from '../content/content-store.ts'
import { isEngineError } from '../errors/engine-error.ts'
import type { ImageLayer } from '../image/image-record.ts'
import type { LayerSizes } from '../image/layer-sizes.ts'
import type { CallOptions } from '../lifetime/call-options.ts'

/**
 * Bytes of the regular files of layers, by diff id. Those that were not unpacked under these records (format 1, records
 * built anew) are read once; those whose blobs are lost or damaged are left out.
 */
export async function measureLayers(
  { content, sizes }: { readonly content: ContentStore; readonly sizes: LayerSizes },
  layers: readonly ImageLayer[],
  call?: CallOptions,
): Promise<ReadonlyMap<string, number>> {
  const known = new Map<string, number>()
  for (const { diffId, digest } of layers) {
    const bytes = sizes.get(diffId) ?? (content.has(digest) ? await measure(content, digest, call) : null)
    if (bytes === null) continue
    if (sizes.get(diffId) === null) sizes.record(diffId, bytes)
    known.set(diffId, bytes)
  }
  return known
}

/** Null when the blob cannot be read as a layer: that is for `check` to tell. */
async function measure(
  content: ContentStore,
  digest: ImageLayer['digest'],
  call?: CallOptions,
): Promise<number | null> {
  const [{ decompressed }, { TarParser }] = await Promise.all([
    import('../archive/compression.ts'),
    import('../layer/tar-parser.ts'),
  ])
  const parser = new TarParser({ entry() {}, data() {}, end() {} })
  try {
    for await (const chunk of decompressed(content.openRead(digest, { ...call }), call)) parser.push(Buffer.from(chunk))
    parser.finish()
    return parser.fileBytes
  } catch (error) {
    if (!isEngineError(error) || error.kind === 'aborted') throw error
    return null
  }
}
