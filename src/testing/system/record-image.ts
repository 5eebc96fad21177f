import type { ImageLifetime } from '../../image/image-owners.ts'
import type { ImageRecord } from '../../image/image-record.ts'
import { type Digest, digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { ContentFixture } from './content-fixture.ts'

/** What an image of `recordImage` is like. */
export interface RecordedImage {
  readonly names?: readonly string[]
  readonly parent?: Digest
  /** Seeds of its layers, base first. */
  readonly layers?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly created?: string
  readonly lifetime?: ImageLifetime
}

export const diffOf = (seed: string): Digest => digestOf(`diff ${seed}`)

/** An image whose layers are any bytes: records do not look into layers. */
export async function recordImage(
  { content, images }: Pick<ContentFixture, 'content' | 'images'>,
  seed: string,
  { names = [], parent, layers = [seed], labels, created, lifetime }: RecordedImage = {},
): Promise<ImageRecord> {
  return content.withLease(async (lease) => {
    const put = async (value: unknown) => {
      const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
      const { digest, size } = await content.ingest([bytes], { lease })
      return { digest, size }
    }
    const stored = []
    for (const layer of layers) stored.push({ mediaType: mediaTypes.ociLayer, ...(await put(`layer ${layer}`)) })
    const rootfs = { type: 'layers', diff_ids: layers.map(diffOf) }
    const run = { Env: [`SEED=${seed}`], ...(labels ? { Labels: labels } : {}) }
    const config = await put({ architecture: 'amd64', os: 'linux', created, config: run, rootfs })
    const manifest = await put({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, ...config },
      layers: stored,
    })
    const [image] = await images.createAll(
      [{ manifest: { ...manifest, mediaType: mediaTypes.ociManifest }, names, parent }],
      { lease, lifetime },
    )
    return image!
  })
}
