import type { ImageRecord } from '../image/image-record.ts'
import type { Digest } from '../oci/digest.ts'
import type { ImageConfig } from '../oci/image-config.ts'
import { shortNames } from './short-names.ts'

/** One step of how an image was built, with the layer it made. */
export interface ImageHistoryEntry {
  /** ISO 8601; null when the image does not say. */
  readonly created: string | null
  /** The command. */
  readonly createdBy: string
  readonly author: string | null
  readonly comment: string
  /** It changed the configuration only: it has no layer and no size. */
  readonly emptyLayer: boolean
  /** Bytes of the files it wrote. */
  readonly size: number
  /** Diff id of its layer. */
  readonly layer: Digest | null
  /** Id of the image that stood after this step, where it is here. */
  readonly image: Digest | null
  /** Names with a tag of that image. */
  readonly tags: readonly string[]
}

/** An image and those it was made from, as far as they are here; nearest first. */
export interface Ancestor {
  readonly record: ImageRecord
  readonly config: ImageConfig
}

/**
 * The history of a configuration zipped with its layers, oldest step first. Layers that no step tells of come at the
 * end as steps of their own; steps for which there is no layer have no size.
 */
export function zipHistory(lineage: readonly Ancestor[], sizes: ReadonlyMap<string, number>): ImageHistoryEntry[] {
  const { config } = lineage[0]!
  const layers = [...config.rootfs.diff_ids]
  const steps = (config.history ?? []).map((step) => ({ ...step, layer: step.empty_layer ? null : layers.shift() }))
  const untold = layers.map((layer) => ({ layer, comment: '' }))
  const after = new Map(lineage.map(({ record, config }) => [stepsOf(config), record]))
  return [...steps, ...untold].map((step: (typeof steps)[number], at) => {
    const layer = step.layer ?? null
    const image = after.get(at + 1)
    return {
      created: step.created ?? null,
      createdBy: step.created_by ?? '',
      author: step.author ?? null,
      comment: step.comment ?? '',
      emptyLayer: layer === null,
      size: layer === null ? 0 : (sizes.get(layer) ?? 0),
      layer,
      image: image?.id ?? null,
      tags: image ? shortNames(image.names).tags : [],
    }
  })
}

/** How many entries the zipped history of a configuration has. */
function stepsOf({ history = [], rootfs }: ImageConfig): number {
  const told = history.filter((step) => !step.empty_layer).length
  return history.length + Math.max(0, rootfs.diff_ids.length - told)
}
