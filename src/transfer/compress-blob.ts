import { decompressed } from '../archive/compression.ts'
import { compressed } from '../archive/parallel-compression.ts'
import type { Blob } from '../content/blob-writer.ts'
import type { ContentStore } from '../content/content-store.ts'
import type { Lease } from '../content/lease.ts'
import type { Digest } from '../oci/digest.ts'
import type { LayerCompression } from '../oci/layer-types.ts'
import type { ProgressSink } from '../progress/progress-event.ts'

export interface CompressOptions {
  /** Holds the new blob. */
  readonly lease: Lease
  readonly signal: AbortSignal
  readonly report?: ProgressSink | undefined
}

/** Stores a layer packed in another way; what it is packed with now is found out by its content. */
export function compressBlob(
  content: ContentStore,
  digest: Digest,
  compression: Exclude<LayerCompression, 'none'>,
  { lease, signal, report }: CompressOptions,
): Promise<Blob> {
  const plain = decompressed(content.openRead(digest, { signal }), { signal })
  return content.ingest(compressed(plain, compression), { lease, signal, report, item: digest })
}
