import type { ImageLifetime } from '../image/image-owners.ts'
import type { ImageRecord } from '../image/image-record.ts'
import { ImageSharing } from '../image/image-sharing.ts'
import type { ImageStore } from '../image/image-store.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { HistoryEntry, ImageRunConfig } from '../oci/image-config.ts'
import { formatPlatform } from '../oci/platform.ts'
import { measureLayers } from '../transfer/measure-layers.ts'
import type { TransferServices } from '../transfer/transfer-services.ts'
import { type Ancestor, type ImageHistoryEntry, zipHistory } from './image-history.ts'
import { shortNames } from './short-names.ts'

/** Everything known about an image. */
export interface ImageInspect {
  /** Digest of its configuration. */
  readonly id: Digest
  /** Digest of its manifest. */
  readonly manifest: Digest
  /** As people write them: `busybox:latest`. */
  readonly names: readonly string[]
  /** Those with a tag. */
  readonly repoTags: readonly string[]
  /** `repository@digest`, as registries gave them. */
  readonly repoDigests: readonly string[]
  /** Id of the image it was made from on this root, if that is known. */
  readonly parent: Digest | null
  /** `os/architecture[/variant]` */
  readonly platform: string
  readonly architecture: string
  readonly os: string
  readonly variant: string | null
  readonly author: string | null
  /** What its last step says about itself. */
  readonly comment: string
  /** When it was built, as its configuration says. */
  readonly created: string | null
  /** When it came to this root. */
  readonly loadedAt: Date
  /** `process`: it goes with the processes that it was brought or made for. */
  readonly lifetime: ImageLifetime
  readonly config: ImageRunConfig
  readonly history: readonly HistoryEntry[]
  /** From the base up: digest and bytes as stored, and of the files that it unpacks to (null when its blob is lost). */
  readonly layers: readonly {
    readonly digest: Digest
    readonly diffId: Digest
    readonly size: number
    readonly unpackedSize: number | null
  }[]
  /** Bytes of its manifest and layers as stored. */
  readonly storedSize: number
  /** Bytes of the files of all its layers: Docker's size. */
  readonly unpackedSize: number
  /** Bytes of the files of layers that other images here have too. */
  readonly sharedSize: number
  /** Bytes of the files of layers that only it has. */
  readonly uniqueSize: number
  /** How many containers were made from it. */
  readonly containers: number
}

/** What `inspect` and `history` read from. */
export interface InspectServices {
  readonly images: ImageStore
  readonly transfer: TransferServices
  /** How many containers were made from an image. */
  countUsers(id: Digest): number
}

/** @throws `image.not_found`, `content.*` when the store is damaged */
export async function inspectImage(
  { images, transfer, countUsers }: InspectServices,
  id: string,
  call?: CallOptions,
): Promise<ImageInspect> {
  const record = images.resolve(id)
  const [config, sizes] = await Promise.all([record.config(call), sizesOf(images, transfer, record, call)])
  // Only images on the same base can share layers.
  const base = record.layers[0]?.diffId
  const related = base === undefined ? [] : images.listOnBase(base)
  const { unpacked, shared, unique } = new ImageSharing(related, (diffId) => sizes.get(diffId) ?? 0).of(record)
  const { all, tags, digests } = shortNames(record.names)
  const { architecture, os, variant } = config
  return {
    id: record.id,
    manifest: record.manifest.digest,
    names: all,
    repoTags: tags,
    repoDigests: digests,
    parent: record.parent,
    platform: formatPlatform({ architecture, os, ...(variant ? { variant } : {}) }),
    architecture,
    os,
    variant: variant ?? null,
    author: config.author ?? null,
    comment: config.history?.at(-1)?.comment ?? '',
    created: config.created ?? null,
    loadedAt: record.createdAt,
    lifetime: images.lifetimeOf(record.id),
    config: config.config ?? {},
    history: config.history ?? [],
    layers: record.layers.map(({ digest, diffId, size }) => ({
      digest,
      diffId,
      size,
      unpackedSize: sizes.get(diffId) ?? null,
    })),
    storedSize: record.storedSize,
    unpackedSize: unpacked,
    sharedSize: shared,
    uniqueSize: unique,
    containers: countUsers(record.id),
  }
}

/** @throws `image.not_found`, `content.*` when the store is damaged */
export async function readHistory(
  { images, transfer }: InspectServices,
  id: string,
  call?: CallOptions,
): Promise<readonly ImageHistoryEntry[]> {
  const record = images.resolve(id)
  const lineage: Ancestor[] = []
  const seen = new Set<Digest>()
  for (let at: ImageRecord | null = record; at && !seen.has(at.id); at = at.parent && images.find(at.parent)) {
    seen.add(at.id)
    lineage.push({ record: at, config: await at.config(call) })
  }
  return zipHistory(lineage, await sizesOf(images, transfer, record, call))
}

const sizesOf = (images: ImageStore, { content }: TransferServices, { layers }: ImageRecord, call?: CallOptions) =>
  measureLayers({ content, sizes: images.sizes }, layers, call)
